"""A pipeline's comparison as a picture. matplotlib is imported late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.pipeline.report import PipelineReport, Row

Axis = Any  # matplotlib has no types
SIZE_INCHES = (15, 4.6)
DOTS_PER_INCH = 130
LEAST_POINTS = 5.0
"""Half the height of the accuracy plot in points: a difference of half a point is noise."""


def plot_pipeline(report: PipelineReport, path: Path) -> None:
    """Throughput and TPOT over concurrency, and quality against size.

    Raises: EnvironmentMissing without matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        hint = "pip install 'llmops-cli[plot]'"
        raise EnvironmentMissing("plots need matplotlib", hint=hint) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=SIZE_INCHES, layout="constrained")
    speed, latency, third = axes
    for row in report.rows:
        streams = [level.concurrency for level in row.levels]
        rates = [level.output_tokens_per_s for level in row.levels]
        tpots = [level.tpot_ms.p50 for level in row.levels]
        speed.plot(streams, rates, marker="o", label=row.name)
        latency.plot(streams, tpots, marker="o", label=row.name)
    _over_streams(report, speed, "Throughput", "output tokens/s")
    _over_streams(report, latency, "Time per output token, p50", "TPOT in ms")
    speed.legend(fontsize=8)
    rated = [row for row in report.rows if row.task_accuracy is not None]
    if rated:
        _accuracy(rated, third)
    else:
        _ratios(report, third)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)


def _over_streams(report: PipelineReport, axis: Axis, title: str, label: str) -> None:
    axis.set(title=title, xlabel="concurrent streams", ylabel=label, xscale="log")
    streams: set[int] = set()
    for row in report.rows:
        streams.update(level.concurrency for level in row.levels if level.concurrency)
    ticks = sorted(streams)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)


def _accuracy(rated: list[Row], axis: Axis) -> None:
    """Task accuracy against size."""
    scores = []
    for row in rated:
        size_mb = row.size_bytes / 1e6
        score = (row.task_accuracy or 0.0) * 100
        scores.append(score)
        axis.scatter(size_mb, score, s=70)
        axis.annotate(row.name, (size_mb, score), textcoords="offset points", xytext=(8, -4))
    largest_mb = max(row.size_bytes for row in rated) / 1e6
    axis.set(title="Task accuracy against size")
    axis.set(xlabel="file size in MB", ylabel="exact match in %")
    axis.set_xlim(left=0, right=largest_mb * 1.25)
    middle = (min(scores) + max(scores)) / 2
    half = max(LEAST_POINTS, max(scores) - min(scores))
    axis.set_ylim(middle - half, middle + half)
    axis.grid(alpha=0.3)


def _ratios(report: PipelineReport, axis: Axis) -> None:
    """Throughput over the first row's, at each load."""
    first = report.rows[0]
    base = {level.concurrency: level.output_tokens_per_s for level in first.levels}
    loads = [load for load, rate in base.items() if rate]
    height = 0.8 / max(1, len(loads))
    for number, load in enumerate(loads):
        ratios = [_rate_at(row, load) / base[load] for row in report.rows]
        places = [row + number * height for row in range(len(report.rows))]
        label = "1 stream" if load == 1 else f"{load} streams"
        bars = axis.barh(places, ratios, height=height, label=label)
        axis.bar_label(bars, fmt="%.1fx", fontsize=8, padding=2)
    middles = [row + 0.4 - height / 2 for row in range(len(report.rows))]
    axis.set_yticks(middles, [row.name for row in report.rows])
    axis.invert_yaxis()
    axis.set(title=f"Throughput over {first.name}", xlabel="times")
    axis.legend()
    axis.grid(alpha=0.3, axis="x")


def _rate_at(row: Row, load: int | None) -> float:
    for level in row.levels:
        if level.concurrency == load:
            return level.output_tokens_per_s
    return 0.0
