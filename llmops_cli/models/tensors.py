"""What lies in a model folder: safetensors headers, read without any library."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError

KINDS = (
    ("embeddings", ("embed_tokens", "wte", "token_embd", "embeddings")),
    ("lm_head", ("lm_head",)),
    ("router", (".router.", ".gate.", "shared_expert_gate", "ffn_gate_inp")),
    ("experts", (".experts.", "_exps.")),
    ("norms", ("norm",)),
    ("attention", ("attn", "attention")),
    ("mlp", ("mlp", "feed_forward", "ffn")),
)
"""What tensors are for -> parts of names; the first that fits counts."""
GGUF_HEAD = "output.weight"
LENGTH_BYTES = 8
REPAIR = "download or make it again"
OTHER_WEIGHTS = ("*.bin", "*.pt", "*.gguf")


class TensorInfo(msgspec.Struct, frozen=True):
    """A tensor's name and place, without its values."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


def tensors_of(folder: Path) -> list[TensorInfo]:
    """Every tensor of the folder's safetensors files.

    Raises: UsageError for a file that is truncated or none.
    """
    found: list[TensorInfo] = []
    for path in _weight_files(folder):
        found += _tensors_in(path)
    return found


def _tensors_in(path: Path) -> list[TensorInfo]:
    found: list[TensorInfo] = []
    try:
        header = _header(path)
        end_bytes = LENGTH_BYTES + header.size_bytes
        for name, entry in header.entries.items():
            if name == "__metadata__":
                continue
            start, stop = entry["data_offsets"]
            end_bytes = max(end_bytes, LENGTH_BYTES + header.size_bytes + stop)
            shape = tuple(entry["shape"])
            found.append(TensorInfo(name, entry["dtype"], shape, stop - start))
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path} is no safetensors file", hint=REPAIR) from None
    if end_bytes > path.stat().st_size:
        raise _truncated(path)
    return found


def weight_bytes(folder: Path) -> int:
    """Bytes of the weights alone: tensors of safetensors files, or the files of other formats."""
    tensors = tensors_of(folder)
    if tensors:
        return sum(tensor.bytes for tensor in tensors)
    total = 0
    for pattern in OTHER_WEIGHTS:
        total += sum(path.stat().st_size for path in folder.glob(pattern))
    return total


def parameters_of(folder: Path) -> int:
    """Parameters of an unquantized folder."""
    return sum(math.prod(tensor.shape) for tensor in tensors_of(folder))


def kind_of(name: str) -> str:
    """What the tensor of this name is for."""
    if name == GGUF_HEAD:
        return "lm_head"
    for kind, parts in KINDS:
        if any(part in name for part in parts):
            return kind
    return "other"


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return sorted(folder / name for name in _indexed(index))
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    return sorted(folder.glob("*.safetensors"))


def _indexed(index: Path) -> set[str]:
    try:
        return set(msgspec.json.decode(index.read_bytes())["weight_map"].values())
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{index} is no index of tensors: {error}", hint=REPAIR) from None


class _Header(msgspec.Struct, frozen=True):
    """A file's list of tensors, and how many bytes it takes itself."""

    entries: dict[str, dict[str, Any]]  # Any: strings, lists and offsets
    size_bytes: int


def _header(path: Path) -> _Header:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=REPAIR) from None
    with file:
        head = file.read(LENGTH_BYTES)
        if len(head) < LENGTH_BYTES:
            raise _truncated(path)
        (length,) = struct.unpack("<Q", head)
        if LENGTH_BYTES + length > path.stat().st_size:
            raise _truncated(path)
        try:
            entries = msgspec.json.decode(file.read(length), type=dict[str, dict[str, Any]])
        except msgspec.DecodeError:
            raise UsageError(f"{path} is no safetensors file", hint=REPAIR) from None
    return _Header(entries, length)


def _truncated(path: Path) -> UsageError:
    return UsageError(f"{path} is truncated", hint=REPAIR)
