"""Reports for other tools: Markdown, JUnit XML, OpenMetrics, Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from llmops_cli.bench.gate import Judged
from llmops_cli.bench.report import BenchReport, Comparison, Difference, Level
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.stats import Distribution
from llmops_cli.runtime.files import cannot_write, write_atomic
from llmops_cli.show.junit import junit_suite
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


def markdown(report: BenchReport) -> str:
    """The levels as a table, with what the numbers are of."""
    manifest = report.manifest
    lines = [
        f"## {manifest.recipe.get('model')} on {manifest.recipe.get('url') or manifest.recipe.get('backend')}",
        "",
        f"{manifest.started_at}, llmops {manifest.versions.get('llmops-cli', '')}, {hardware_line(manifest.hardware)}"
        + ("" if manifest.complete else ", **partial**"),
        "",
        _row(COLUMNS),
        _row(["---"] + ["---:"] * (len(COLUMNS) - 1)),
    ]
    lines += [_row(_cells(level)) for level in report.levels]
    lines += ["", *([report.finding.text] if report.finding.text else [])]
    lines += [
        f"- {level.label}: INVALID: {reason}"
        for level in report.levels
        for reason in level.invalid_reasons
    ]
    lines += [
        f"- {level.label}: {slo.text} {'met' if slo.met else '**missed**'} ({slo.share:.1%} of the requests)"
        for level in report.levels
        for slo in level.slos
    ]
    return "\n".join(lines).rstrip() + "\n"


def comparison_markdown(found: Comparison) -> str:
    """One row per metric and load."""
    lines = [
        f"## {found.current} against {found.baseline}",
        "",
        _row(["load", "metric", "baseline", "current", "change", "95 % interval", "verdict"]),
        _row(["---", "---", "---:", "---:", "---:", "---:", "---"]),
    ]
    for d in found.differences:
        change, interval = change_words(d)
        verdict = d.verdict if d.verdict == "can't tell" else f"**{d.verdict}**"
        lines.append(_row([d.load, d.metric, *values_words(d), change, interval, verdict]))
    lines += ["", *(f"- {warning}" for warning in found.warnings)]
    return "\n".join(lines).rstrip() + "\n"


def values_words(d: Difference) -> tuple[str, str]:
    """Baseline and current; a shift is of the whole distribution and has no such pair."""
    if d.metric.endswith(".shift"):
        return "", ""
    if d.metric == "error_rate":
        return f"{d.baseline:.2%}", f"{d.current:.2%}"
    return f"{d.baseline:,.4g}", f"{d.current:,.4g}"


def change_words(d: Difference) -> tuple[str, str]:
    """The change and its interval, as text."""
    if d.ratio is not None and d.ratio_ci95 is not None:
        low, high = d.ratio_ci95
        return f"{d.ratio - 1:+.1%}", f"{low - 1:+.1%} to {high - 1:+.1%}"
    low, high = d.change_ci95 or (0.0, 0.0)
    return f"{(d.change or 0.0) * 100:+.2f} points", f"{low * 100:+.2f} to {high * 100:+.2f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cells(level: Level) -> list[str]:
    return [
        level.label,
        str(level.requests),
        str(level.errors),
        _three(level.ttft_ms),
        _three(level.tpot_ms),
        _three(level.e2e_ms),
        f"{level.requests_per_s:.2f}",
        f"{level.output_tokens_per_s:.1f}",
        "yes" if level.valid else "**INVALID**",
    ]


def _three(found: Distribution) -> str:
    return " / ".join(
        "-" if value is None else f"{value:.4g}" for value in (found.p50, found.p95, found.p99)
    )


def junit(report: BenchReport) -> str:
    """One test case per level (is it valid?) and per objective (was it met?)."""
    cases = []
    for level in report.levels:
        cases.append(
            (level.label, "valid", "; ".join(level.invalid_reasons), f"{level.errors} errors")
        )
        cases += [
            (
                level.label,
                slo.text,
                "" if slo.met else f"{slo.share:.2%} of the requests, {slo.needed:.4g} needed",
                "",
            )
            for slo in level.slos
        ]
    if not report.manifest.complete:
        cases.append(("run", "complete", "the run is partial", ""))
    return junit_suite("llmops bench", cases)


def gate_junit(judged: Sequence[Judged]) -> str:
    """One test case per condition and load."""
    return junit_suite(
        "llmops report gate",
        [
            (j.load, j.condition, "" if j.outcome == "passed" else f"{j.outcome}: {j.text}", j.text)
            for j in judged
        ],
    )


def openmetrics(report: BenchReport) -> str:
    """Gauges with the labels load, model and backend; seconds where the format wants base units."""
    recipe = report.manifest.recipe
    labels = {"model": str(recipe.get("model")), "backend": str(recipe.get("backend"))}
    lines = []
    for metric in ("ttft", "tpot", "itl", "e2e", "normalized"):
        name = f"llmops_bench_{metric}_seconds"
        lines += [f"# TYPE {name} summary", f"# UNIT {name} seconds"]
        for level in report.levels:
            found: Distribution = getattr(level, f"{metric}_ms")
            values = {"0.5": found.p50, "0.9": found.p90, "0.95": found.p95, "0.99": found.p99}
            lines += [
                _sample(name, {**labels, "load": level.label, "quantile": quantile}, value / 1e3)
                for quantile, value in values.items()
                if value is not None
            ]
            lines.append(_sample(f"{name}_count", {**labels, "load": level.label}, found.count))
    gauges: dict[str, Callable[[Level], float | None]] = {
        "requests_per_second": lambda level: level.requests_per_s,
        "output_tokens_per_second": lambda level: level.output_tokens_per_s,
        "goodput_per_second": lambda level: level.goodput_per_s,
        "error_ratio": lambda level: level.errors / level.requests if level.requests else None,
        "valid": lambda level: float(level.valid),
    }
    for name, read in gauges.items():
        samples = [
            (level.label, value) for level in report.levels if (value := read(level)) is not None
        ]
        if samples:
            lines.append(f"# TYPE llmops_bench_{name} gauge")
            lines += [
                _sample(f"llmops_bench_{name}", {**labels, "load": load}, value)
                for load, value in samples
            ]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    pairs = ",".join(f'{key}="{quoted(text)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {value:.9g}"


TEXTS: dict[str, Callable[[BenchReport], str]] = {
    "markdown": markdown,
    "junit": junit,
    "openmetrics": openmetrics,
}
"""Formats that are text made from the report alone."""


def save_parquet(folder: Path, target: Path) -> None:
    """The run's per-request table as Parquet.

    Raises: EnvironmentMissing without pyarrow, UsageError if the run has no such table.
    """
    source = folder / "records.csv"
    if (folder / "records.parquet").is_file():
        write_atomic(target, (folder / "records.parquet").read_bytes())
        return
    if not source.is_file():
        raise UsageError(f"{folder} has no per-request table")
    try:
        from pyarrow import csv as arrow_csv
        from pyarrow import parquet
    except ImportError:
        raise EnvironmentMissing(
            "Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]'"
        ) from None
    try:
        reader = arrow_csv.open_csv(source)
        with parquet.ParquetWriter(target, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except OSError as error:
        raise cannot_write(target, error) from error
