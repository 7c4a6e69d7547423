"""What measuring found, as provenance keeps it."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.task import Maker
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.job import Json

ORIGINAL = "the original in Transformers"
Rounding = tuple[int, int, bool]
"""Bits, group size and symmetry of rounding to nearest."""


def unmeasured(
    maker: Maker,
    variants: Sequence[Variant],
    key: str,
) -> list[tuple[Variant, Provenance]]:
    """Those that are made, and lack figures under this key."""
    found = []
    for variant in variants:
        provenance = maker.load(variant)
        if provenance is not None and provenance.quality_key != key:
            found.append((variant, provenance))
    return found


def gguf_quality(
    figures: Json,
    *,
    base: Json,
    tokens: int,
) -> dict[str, float]:
    """Of one GGUF file."""
    return {
        "perplexity": figures["perplexity"],
        "perplexity_base": base["perplexity"],
        "kl_divergence": figures["kl_divergence"],
        "top1_agreement": figures["top1_agreement"],
        "eval_tokens": tokens,
        "vocabulary": base["vocabulary"],
    }


def folder_quality(
    figures: Json,
    *,
    base: Json,
    rounding: Json | None,
) -> dict[str, float]:
    """Of one folder; `rounding`: plain rounding's figures, where there is something to compare."""
    quality = gguf_quality(figures, base=base, tokens=figures["tokens"])
    if rounding is not None:
        quality["kl_rounding"] = rounding["kl_divergence"]
        quality["perplexity_rounding"] = rounding["perplexity"]
    return quality
