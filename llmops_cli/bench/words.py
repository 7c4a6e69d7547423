"""Levels and differences in words that tables, pages and Markdown share."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.bench.plan import EMBEDDINGS
from llmops_cli.bench.report import BenchReport, Comparison, Difference, Level
from llmops_cli.core.significance import ROUNDING, SURE
from llmops_cli.core.stats import QUANTILES


def values_words(difference: Difference) -> tuple[str, str]:
    """Baseline and current; a shift is of the whole distribution and has no such pair."""
    if difference.metric.endswith(".shift"):
        return "", ""
    if difference.metric == "error_rate":
        return f"{difference.baseline:.2%}", f"{difference.current:.2%}"
    return f"{difference.baseline:,.4g}", f"{difference.current:,.4g}"


def change_words(difference: Difference) -> tuple[str, str]:
    """The change and its interval, as text."""
    interval = difference.ratio_ci95
    if difference.ratio is not None:
        change = difference.ratio - 1
        if interval is None:
            return _signed(change), "unknown"
        low, high = interval
        return _signed(change), f"{_signed(low - 1)} to {_signed(high - 1)}"
    points = (difference.change or 0.0) * 100
    low, high = difference.change_ci95 or (0.0, 0.0)
    return f"{points:+.2f} points", f"{low * 100:+.2f} to {high * 100:+.2f}"


def _signed(share: float) -> str:
    """A change of nothing but rounding has no minus."""
    if abs(share) <= ROUNDING:
        share = 0.0
    return f"{share:+.1%}"


def disagreement_words(found: Comparison) -> str | None:
    """Why an interval without 0 can stand beside "can't tell", where one does."""
    if not any(_disagrees(difference) for difference in found.differences):
        return None
    return (
        "an interval is of its row alone and p of all rows together, so an interval without 0 can "
        'stand beside "can\'t tell"; report gate looks at the metrics of its conditions only, as '
        "--metric does here"
    )


def _disagrees(difference: Difference) -> bool:
    same = 1.0
    limits = difference.ratio_ci95
    if difference.ratio is None:
        same = 0.0
        limits = difference.change_ci95
    if limits is None or difference.p < SURE:
        return False
    low, high = limits
    return low > same + ROUNDING or high < same - ROUNDING


NOT_OF_VECTORS = "TTFT, TPOT and ITL are not measured: vectors come at once"


def is_of_vectors(report: BenchReport) -> bool:
    """Whether the run measured embeddings."""
    return report.manifest.recipe.get("api") == EMBEDDINGS


def missing_words(levels: Sequence[Level]) -> list[str]:
    """How many more requests each percentile needs that is not told, a line for each percentile."""
    lines = []
    for name in QUANTILES:
        needs = []
        for level in levels:
            more = level.e2e_ms.missing.get(name)
            if more:
                needs.append(f"{more:,} more at {level.label}")
        if needs:
            lines.append(f"{name} needs more requests: {', '.join(needs)}")
    return lines


def grouped_notes(levels: Sequence[Level]) -> list[str]:
    """Each note once, with the levels that it is about where these are not all."""
    labels_of: dict[str, list[str]] = {}
    for level in levels:
        for note in level.notes:
            labels = labels_of.setdefault(note, [])
            labels.append(level.label)
    lines = []
    for note, labels in labels_of.items():
        if len(labels) == len(levels):
            lines.append(note)
        else:
            lines.append(f"{', '.join(labels)}: {note}")
    return lines
