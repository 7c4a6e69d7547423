"""README.md of a quantized folder, in the hub's form."""

from __future__ import annotations

from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.paths import end_of


def model_card(
    base: str,
    variant: Variant,
    provenance: Provenance,
) -> str:
    """What it is, what it was made from, what it costs and what is wrong with it."""
    lines = _head(base, variant, provenance)
    rows = _rows(variant, provenance)
    table = ["| | |", "|---|---|"]
    table += [f"| {name} | {value} |" for name, value in rows]
    lines += [*table, "", "Every figure with its origin is in llmops.json.", ""]
    return "\n".join(lines)


def _head(
    base: str,
    variant: Variant,
    provenance: Provenance,
) -> list[str]:
    digest = provenance.source_digest[:19]
    return [
        "---",
        f"base_model: {base}",
        "library_name: transformers",
        f"tags: [{variant.spec.format}, {variant.method}]",
        "---",
        "",
        f"# {end_of(base)}, {variant.name}",
        "",
        f"Made by llmops with {variant.quantizer} from `{base}` ({digest}).",
        "",
    ]


def _rows(variant: Variant, provenance: Provenance) -> list[tuple[str, str]]:
    group = "whole rows"
    if variant.group_size > 0:
        group = str(variant.group_size)
    megabytes = provenance.size_bytes / 1e6
    size = f"{megabytes:.1f} MB"
    if provenance.bits_per_weight is not None:
        size += f", {provenance.bits_per_weight:.2f} bits per weight"
    rows = [
        ("method", variant.method),
        ("scheme", variant.scheme),
        ("group size", group),
        ("size", size),
        *_quality_rows(provenance.quality),
    ]
    if provenance.calibration:
        facts = provenance.calibration
        digest = facts["digest"][:19]
        text = f"{facts['samples']} samples, {facts['tokens']} tokens, {digest}"
        rows.append(("calibration", text))
    if provenance.served:
        rows.append(("served by", provenance.served.engine))
    rows += [("note", note) for note in provenance.notes]
    if provenance.check:
        rows.append(("check", str(provenance.check)))
    rows += [("PROBLEM", problem.text) for problem in provenance.all_problems]
    return rows


def _quality_rows(quality: dict[str, float]) -> list[tuple[str, str]]:
    if not quality:
        return []
    change = quality["perplexity"] / quality["perplexity_base"] - 1
    return [
        ("perplexity", f"{quality['perplexity']:.4f} ({change:+.2%} of the base's)"),
        ("KL divergence", f"{quality['kl_divergence']:.5f} nats"),
    ]
