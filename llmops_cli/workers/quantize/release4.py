"""A folder of today's Transformers as its release 4 reads it, for libraries that ended there.

Release 5 moved rotary parameters, the type and the tokenizer's settings to other fields. Release 4
passes over what it does not know, so a base of 100,000 would be 10,000 without a word.
"""

import json
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _shared.protocol import JobError, Json

FULL = "full_attention"
TOKENIZER_CLASS = "PreTrainedTokenizerFast"
NEWER_TOKENIZER_FIELDS = ("backend", "is_local", "extra_special_tokens")
"""What release 5 writes, and release 4 has in another form."""
QUANTIZED_BUFFERS = frozenset({"scales", "bias"})
REWRITTEN = ("config.json", "tokenizer_config.json")
HINT = "--engine llmcompressor may know it"


def require_known(
    source: Path,
    known: Container[str],
    library: str,
) -> None:
    """Raises: JobError for a type of model that this library does not know."""
    kind = str(read_json(source / "config.json").get("model_type"))
    if kind not in known:
        raise JobError("UsageError", f"{library} does not know models of type {kind}", HINT)


@contextmanager
def folder_for_release4(source: Path, known: Container[str]) -> Iterator[Path]:
    """A folder with links to the weights; gone afterwards.

    Raises: JobError for what release 4 would run differently, or not at all.
    """
    require_known(source, known, "Transformers 4")
    with TemporaryDirectory(prefix="llmops-release4-") as name:
        folder = Path(name)
        for path in source.iterdir():
            if path.is_file() and path.name not in REWRITTEN:
                (folder / path.name).symlink_to(path.resolve())
        config = read_json(source / "config.json")
        write_json(folder / "config.json", config_of(config))
        template = source / "chat_template.jinja"
        settings = read_json(source / "tokenizer_config.json")
        if template.is_file():
            settings["chat_template"] = template.read_text()
        write_json(folder / "tokenizer_config.json", tokenizer_settings_of(settings))
        yield folder


def read_json(path: Path) -> Json:
    """Empty where there is none."""
    if not path.is_file():
        return {}
    return dict(json.loads(path.read_text()))


def write_json(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, indent=2))


def config_of(newer: Json) -> Json:
    """Raises: JobError for layers that differ from one another, which release 4 cannot be told."""
    kinds = set(newer.get("layer_types") or ())
    if kinds - {FULL}:
        listed = ", ".join(sorted(kinds))
        message = f"its layers are of several kinds ({listed}), unknown to Transformers 4"
        raise JobError("UsageError", message, HINT)
    config = dict(newer)
    dtype = config.pop("dtype", None)
    if dtype is not None:
        config["torch_dtype"] = dtype
    rotary = config.pop("rope_parameters", None)
    if rotary:
        config.update(rotary_fields(rotary))
    return config


def rotary_fields(rotary: Json) -> Json:
    """`rope_theta`, `partial_rotary_factor` and `rope_scaling`, as they were called."""
    if any(isinstance(value, dict) for value in rotary.values()):
        message = "its rotary parameters differ by layer, unknown to Transformers 4"
        raise JobError("UsageError", message, HINT)
    scaling = dict(rotary)
    fields: dict[str, Any] = {}
    for name in ("rope_theta", "partial_rotary_factor"):
        if name in scaling:
            fields[name] = scaling.pop(name)
    kind = scaling.get("rope_type", "default")
    if kind != "default":
        fields["rope_scaling"] = scaling
    return fields


def tokenizer_settings_of(newer: Json) -> Json:
    """Whatever wrote tokenizer.json, release 4 reads it by this class."""
    settings = dict(newer)
    for name in NEWER_TOKENIZER_FIELDS:
        settings.pop(name, None)
    settings["tokenizer_class"] = TOKENIZER_CLASS
    return settings


def store_as(model: Any, source: Path) -> None:
    """Parameters in the type that they had on disk, scales of quantized layers in float16."""
    import torch

    config = read_json(source / "config.json")
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    stored = getattr(torch, name)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(stored)
    for path, buffer in model.named_buffers():
        _, _, last = path.rpartition(".")
        if last in QUANTIZED_BUFFERS:
            buffer.data = buffer.data.to(torch.float16)


def restore_config(source: Path, output: Path) -> None:
    """The config of an artifact is its source's, with how its weights are kept."""
    written = read_json(output / "config.json")
    config = read_json(source / "config.json")
    config["quantization_config"] = written["quantization_config"]
    write_json(output / "config.json", config)
