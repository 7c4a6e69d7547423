"""The model and the cards that a row of published values means."""

from __future__ import annotations

import re

import msgspec

from llmops_cli.plan.models import read_load, split_name
from llmops_cli.plan.references import Reference, Unanswered
from llmops_cli.sizing.gpus import NamedGpus, read_gpus
from llmops_cli.sizing.load import CachePart, ServingLoad

_IN_NAME = re.compile(r"\b(w8a8|w4a16|nvfp4|fp8|bf16|fp16|awq|gptq(?:-int[48])?)$", re.IGNORECASE)
UNSTATED = ("unstated", "unknown", "not named")


class RowModel(msgspec.Struct, frozen=True, kw_only=True):
    """As a row's `model` and `quant` say it."""

    name: str
    scheme: str | None


def row_model(row: Reference) -> RowModel:
    """Raises: Unanswered for a row without a model."""
    text = row.text("model")
    if text is None:
        raise Unanswered("the row names no model")
    scheme = row.text("quant")
    named = split_name(text)
    name = named.model
    found = _IN_NAME.search(name)
    if found:
        name = name[: found.start()].rstrip(" -")
    inside = found[0] if found else None
    return RowModel(name=name, scheme=scheme or named.scheme or inside)


def row_load(row: Reference, *, cache_type: str | None = None) -> ServingLoad:
    """Raises: UsageError for a model or a format that is in no table."""
    model = row_model(row)
    cache = cache_type or _cache_type(row)
    scheme = model.scheme or row.text("dtype") or "BF16"
    load = read_load(model.name, scheme=scheme, cache_type=cache)
    if re.search(r"16 KV heads", row.text("model") or ""):
        parts = tuple(
            CachePart(bytes_per_token=2 * part.bytes_per_token, window=part.window)
            for part in load.cache
        )
        load = msgspec.structs.replace(load, cache=parts)
    return load


def _cache_type(row: Reference) -> str:
    """Floats of 16 bits unless the row says `kv`; FP8 weights do not make an FP8 cache."""
    return row.text("kv") or "F16"


def row_gpus(row: Reference) -> NamedGpus:
    """Raises: Unanswered for a row without one; UsageError for one that is in no table."""
    text = row.text("gpu")
    if text is None or any(word in text for word in UNSTATED):
        raise Unanswered("the GPU is not named")
    named = read_gpus(text)
    count = row.number("gpus")
    return named if count is None else NamedGpus(gpu=named.gpu, count=int(count))
