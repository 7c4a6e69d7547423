"""The GGUF file that others are made of: at once, or by a folder that was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.models.config import read_config
from llmops_cli.models.convert import FLOAT_SCHEMES
from llmops_cli.models.gguf.parts import GgufModel, read_gguf
from llmops_cli.models.provenance import record_beside
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.task import QuantizeTask
from llmops_cli.quantize.variants import GGUF, Variant

WENT_THROUGH = "llmops_source"
"""What a folder that was made of a GGUF file says of it, in its config.json."""


def takes_file(recipe: QuantizeRecipe, variants: Sequence[Variant]) -> bool:
    """Whether a model that is a GGUF file already is quantized as it is, not by way of a folder.

    A mix needs 16 bits to measure from.
    """
    if not recipe.allow_requantize or recipe.mix is not None:
        return False
    return all(variant.method == GGUF for variant in variants)


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What the record of a file of ours says of its own source."""

    requantized_from: str = ""


def all_lossy_types(model: GgufModel) -> str:
    """Types of the file, the most first, then those that its weights had before, if it is ours."""
    names = list(model.quantized_types)
    try:
        raw = record_beside(model.path).read_bytes()
        before = msgspec.json.decode(raw, type=Before).requantized_from
    except (OSError, *UNREADABLE):
        before = ""
    names += filter(None, before.split(", "))
    return ", ".join(dict.fromkeys(names))


def lossy_types_of(source: Artifact) -> str:
    """Types that a folder's weights have gone through, by how many tensors had them."""
    if source.format != "hf" or source.path is None:
        return ""
    told = read_config(Path(source.path)).get(WENT_THROUGH)
    types = told.get("tensor_types") if isinstance(told, dict) else None
    if not isinstance(types, dict):
        return ""
    lossy = [name for name in types if name not in FLOAT_SCHEMES]
    return ", ".join(sorted(lossy, key=types.__getitem__, reverse=True))


def first_file(task: QuantizeTask) -> GgufModel:
    """The model that is read. Raises: UsageError for a quantized one, unless that is wished."""
    model = read_gguf(task.source_path)
    if model.quantized_types and not task.recipe.allow_requantize:
        types = ", ".join(model.quantized_types)
        raise UsageError(
            f"{task.source.reference} is quantized already ({types}): doing so again adds to "
            "what it lost",
            hint="pass the original model, or --allow-requantize to compare with this file",
        )
    return model
