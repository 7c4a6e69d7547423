"""A load test as OpenMetrics text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from llmops_cli.bench.report import BenchReport, Level
from llmops_cli.core.stats import Distribution

SUMMARIES = ("ttft", "tpot", "itl", "e2e", "normalized")


def _error_ratio(level: Level) -> float | None:
    if not level.requests:
        return None
    return level.errors / level.requests


GAUGES: dict[str, Callable[[Level], float | None]] = {
    "requests_per_second": lambda level: level.requests_per_s,
    "output_tokens_per_second": lambda level: level.output_tokens_per_s,
    "goodput_per_second": lambda level: level.goodput_per_s,
    "error_ratio": _error_ratio,
    "valid": lambda level: float(level.valid),
}


def openmetrics(report: BenchReport) -> str:
    """Summaries and gauges with the labels load, model and backend.

    In seconds where the format wants base units.
    """
    lines: list[str] = []
    for metric in SUMMARIES:
        lines += _summary(report, metric)
    for name, read in GAUGES.items():
        lines += _gauge(report, name, read)
    lines.append("# EOF\n")
    return "\n".join(lines)


def _summary(report: BenchReport, metric: str) -> Iterator[str]:
    name = f"llmops_bench_{metric}_seconds"
    yield f"# TYPE {name} summary"
    yield f"# UNIT {name} seconds"
    for level in report.levels:
        labels = _labels(report, level)
        found: Distribution = getattr(level, f"{metric}_ms")
        quantiles = {"0.5": found.p50, "0.9": found.p90, "0.95": found.p95, "0.99": found.p99}
        for quantile, value_ms in quantiles.items():
            if value_ms is None:
                continue
            own_labels = {**labels, "quantile": quantile}
            yield _sample(name, own_labels, value_ms / 1e3)
        yield _sample(f"{name}_count", labels, found.count)


def _gauge(
    report: BenchReport,
    name: str,
    read: Callable[[Level], float | None],
) -> Iterator[str]:
    known = []
    for level in report.levels:
        value = read(level)
        if value is not None:
            known.append((level, value))
    if not known:
        return
    metric = f"llmops_bench_{name}"
    yield f"# TYPE {metric} gauge"
    for level, value in known:
        labels = _labels(report, level)
        yield _sample(metric, labels, value)


def _labels(report: BenchReport, level: Level) -> dict[str, str]:
    recipe = report.manifest.recipe
    return {
        "model": str(recipe.get("model")),
        "backend": str(recipe.get("backend")),
        "load": level.label,
    }


def _sample(
    name: str,
    labels: dict[str, str],
    value: float,
) -> str:
    shown = [f'{key}="{_quoted(text)}"' for key, text in labels.items()]
    pairs = ",".join(shown)
    return f"{name}{{{pairs}}} {value:.9g}"


def _quoted(text: str) -> str:
    text = text.replace("\\", "\\\\")
    text = text.replace('"', '\\"')
    return text.replace("\n", "\\n")
