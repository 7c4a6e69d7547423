"""Weights in a form that is run and not trained, or none at all: told by files, refused by name."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in

GGUF_MAGIC = b"GGUF"
ADAPTER = "adapter_config.json"
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
ADAPTER_WEIGHTS = "adapter_model"
INDEX = "model.safetensors.index.json"
FETCH = "fetch the model again"
A_FOLDER = "a Hugging Face folder: config.json, tokenizer and *.safetensors"


class _Shards(msgspec.Struct):
    """Of an index of weights: which file has which."""

    weight_map: dict[str, str] = {}


class _Adapter(msgspec.Struct):
    base_model_name_or_path: str | None = None


def refuse_file(path: Path) -> None:
    """Raises: UsageError, as a model that is trained is a folder."""
    with path.open("rb") as file:
        is_gguf = file.read(len(GGUF_MAGIC)) == GGUF_MAGIC
    if is_gguf:
        raise UsageError(
            f"{path} is a GGUF file, whose weights are run and not trained",
            hint="the Hugging Face folder that it was made of",
        )
    if path.suffix == ".json":
        raise UsageError(
            f"{path} has no weights to train further",
            hint=f"--init {path} begins from scratch, or give a folder with weights",
        )
    raise UsageError(f"{path} is a file, and a model is a folder", hint=A_FOLDER)


def refuse_weights(folder: Path) -> None:
    """Raises: UsageError for an adapter, for GGUF files, and for a folder without weights."""
    found = [path for pattern in WEIGHTS for path in folder.glob(pattern)]
    weights = [path for path in found if not path.name.startswith(ADAPTER_WEIGHTS)]
    if (folder / ADAPTER).is_file() and not weights:
        raise UsageError(
            f"{folder} is a LoRA adapter, not a whole model",
            hint=f"train its base, {_base_of(folder)}, or merge the adapter into it first",
        )
    if weights:
        _refuse_missing_shards(folder)
        return
    if any(folder.glob("*.gguf")):
        raise UsageError(
            f"{folder} has only GGUF weights, which are run and not trained",
            hint="the Hugging Face folder that they were made of",
        )
    hint = A_FOLDER
    if (folder / "config.json").is_file():
        hint = f"--init {folder} begins from scratch, or give a folder with *.safetensors"
    raise UsageError(f"{folder} has no weights to train further", hint=hint)


def _base_of(folder: Path) -> str:
    try:
        found = msgspec.json.decode((folder / ADAPTER).read_bytes(), type=_Adapter)
    except (OSError, *UNREADABLE):
        return "which its adapter_config.json should name"
    return found.base_model_name_or_path or "which its adapter_config.json should name"


def _refuse_missing_shards(folder: Path) -> None:
    place = folder / INDEX
    try:
        raw = place.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}", hint=FETCH) from error
    try:
        found = msgspec.json.decode(raw, type=_Shards)
    except UNREADABLE:
        raise UsageError(f"{place}: {wrong_in(raw, _Shards)}", hint=FETCH) from None
    for name in sorted(set(found.weight_map.values())):
        if not (folder / name).is_file():
            raise UsageError(f"{folder} lacks {name}, a part of its weights", hint=FETCH)
