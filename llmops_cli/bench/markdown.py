"""Load tests and their comparisons as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmops_cli.bench.report import BenchReport, Comparison, Difference, Level
from llmops_cli.bench.words import (
    NOT_OF_VECTORS,
    change_words,
    disagreement_words,
    is_of_vectors,
    missing_words,
    values_words,
)
from llmops_cli.core.report import Manifest
from llmops_cli.core.stats import Distribution
from llmops_cli.show.tables import milliseconds
from llmops_cli.show.words import hardware_line

COLUMNS = (
    "load",
    "requests",
    "errors",
    "TTFT ms p50 / p95 / p99",
    "TPOT ms",
    "E2E ms",
    "req/s",
    "output tok/s",
    "valid",
)
OF_VECTORS = (
    "load",
    "requests",
    "errors",
    "E2E ms p50 / p95 / p99",
    "req/s",
    "texts/s",
    "input tok/s",
    "valid",
)
COMPARED = ("load", "metric", "baseline", "current", "change", "95 % interval", "verdict")
CANT_TELL = "can't tell"


def markdown(report: BenchReport) -> str:
    """The levels as a table, with what the numbers are of."""
    recipe = report.manifest.recipe
    model = recipe.get("model")
    server = recipe.get("url") or recipe.get("backend")
    has_vectors = is_of_vectors(report)
    columns = OF_VECTORS if has_vectors else COLUMNS
    numbers = ["---:"] * (len(columns) - 1)
    rows = []
    for level in report.levels:
        cells = _cells_of_vectors(level) if has_vectors else _cells(level)
        rows.append(_row(cells))
    lines = [
        f"## {model} on {server}",
        "",
        _origin(report.manifest),
        "",
        _row(columns),
        _row(["---", *numbers]),
        *rows,
        "",
        *_remarks(report),
    ]
    text = "\n".join(lines)
    return text.rstrip() + "\n"


def _origin(manifest: Manifest) -> str:
    version = manifest.versions.get("llmops-cli", "")
    text = f"{manifest.started_at}, llmops {version}, {hardware_line(manifest.hardware)}"
    if not manifest.complete:
        text += ", **partial**"
    return text


def _remarks(report: BenchReport) -> Iterator[str]:
    if report.finding.text:
        yield report.finding.text
    if is_of_vectors(report):
        yield f"- {NOT_OF_VECTORS}"
    for line in missing_words(report.levels):
        yield f"- {line}"
    for level in report.levels:
        for reason in level.invalid_reasons:
            yield f"- {level.label}: INVALID: {reason}"
    for level in report.levels:
        for slo in level.slos:
            outcome = "met" if slo.met else "**missed**"
            yield f"- {level.label}: {slo.text} {outcome} ({slo.share:.1%} of the requests)"


def comparison_markdown(found: Comparison) -> str:
    """One row per metric and load."""
    rows = []
    for difference in found.differences:
        cells = _difference_cells(difference)
        rows.append(_row(cells))
    warnings = [f"- {warning}" for warning in found.warnings]
    note = disagreement_words(found)
    if note:
        warnings.append(f"- {note}")
    lines = [
        f"## {found.current} against {found.baseline}",
        "",
        _row(COMPARED),
        _row(["---", "---", "---:", "---:", "---:", "---:", "---"]),
        *rows,
        "",
        *warnings,
    ]
    text = "\n".join(lines)
    return text.rstrip() + "\n"


def _difference_cells(difference: Difference) -> list[str]:
    change, interval = change_words(difference)
    verdict = difference.verdict
    if verdict != CANT_TELL:
        verdict = f"**{verdict}**"
    return [
        difference.load,
        difference.metric,
        *values_words(difference),
        change,
        interval,
        verdict,
    ]


def _row(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    joined = " | ".join(escaped)
    return f"| {joined} |"


def _cells(level: Level) -> list[str]:
    return [
        level.label,
        str(level.requests),
        str(level.errors),
        _three(level.ttft_ms),
        _three(level.tpot_ms),
        _three(level.e2e_ms),
        f"{level.requests_per_s:.2f}",
        f"{level.output_tokens_per_s:,.1f}",
        "yes" if level.valid else "**INVALID**",
    ]


def _cells_of_vectors(level: Level) -> list[str]:
    return [
        level.label,
        str(level.requests),
        str(level.errors),
        _three(level.e2e_ms),
        f"{level.requests_per_s:.2f}",
        _digits(level.texts_per_s),
        f"{level.total_tokens_per_s:.1f}",
        "yes" if level.valid else "**INVALID**",
    ]


def _three(found: Distribution) -> str:
    values = (found.p50, found.p95, found.p99)
    shown = [milliseconds(value) for value in values]
    return " / ".join(shown)


def _digits(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}"
