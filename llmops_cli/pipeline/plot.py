"""A pipeline's comparison as a picture. matplotlib is imported late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.pipeline.report import PipelineReport, Row

Axis = Any  # matplotlib has no types
SIZE_INCHES = (15, 4.6)
DOTS_PER_INCH = 130
SMALL = 8
GROUP_HEIGHT = 0.8
"""Of all bars of one row, where the next row's begin at 1."""
LEAST_POINTS = 5.0
"""Half the height of the accuracy plot in points: a difference of half a point is noise."""


def plot_pipeline(report: PipelineReport, path: Path) -> None:
    """Throughput and TPOT over concurrency, and quality against size.

    Raises: EnvironmentMissing without matplotlib.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, 3, figsize=SIZE_INCHES, layout="constrained")
    speed, latency, third = axes
    for row in report.rows:
        _loads(row, speed, latency)
    _over_streams(report, speed, "Throughput", "output tokens/s")
    _over_streams(report, latency, "Time per output token, p50", "TPOT in ms")
    speed.legend(fontsize=SMALL)
    rated = [row for row in report.rows if row.task_accuracy is not None]
    if rated:
        _accuracy(rated, third)
    else:
        _ratios(report, third)
    figure.savefig(path, dpi=DOTS_PER_INCH)
    pyplot.close(figure)


def _pyplot() -> Any:  # Any: matplotlib has no types
    """Drawing to files only. Raises: EnvironmentMissing."""
    try:
        import matplotlib
    except ImportError:
        hint = "pip install 'llmops-cli[plot]'"
        raise EnvironmentMissing("plots need matplotlib", hint=hint) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _loads(
    row: Row,
    speed: Axis,
    latency: Axis,
) -> None:
    streams = []
    rates = []
    tpots_ms = []
    for level in row.levels:
        streams.append(level.concurrency)
        rates.append(level.output_tokens_per_s)
        tpots_ms.append(level.tpot_ms.p50)
    speed.plot(streams, rates, marker="o", label=row.name)
    latency.plot(streams, tpots_ms, marker="o", label=row.name)


def _over_streams(
    report: PipelineReport,
    axis: Axis,
    title: str,
    label: str,
) -> None:
    axis.set_title(title)
    axis.set_xlabel("concurrent streams")
    axis.set_ylabel(label)
    axis.set_xscale("log")
    streams: set[int] = set()
    for row in report.rows:
        for level in row.levels:
            if level.concurrency:
                streams.add(level.concurrency)
    ticks = sorted(streams)
    axis.set_xticks(ticks, list(map(str, ticks)))
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)


def _accuracy(rated: list[Row], axis: Axis) -> None:
    """Task accuracy against size."""
    sizes_mb = []
    scores = []
    for row in rated:
        size_mb = row.size_bytes / 1e6
        score = (row.task_accuracy or 0.0) * 100
        sizes_mb.append(size_mb)
        scores.append(score)
        axis.annotate(
            row.name,
            (size_mb, score),
            textcoords="offset points",
            xytext=(8, -4),
        )
        axis.scatter(size_mb, score, s=70)
    axis.set_title("Task accuracy against size")
    axis.set_xlabel("file size in MB")
    axis.set_ylabel("exact match in %")
    axis.set_xlim(left=0, right=max(sizes_mb) * 1.25)
    lowest = min(scores)
    highest = max(scores)
    middle = (lowest + highest) / 2
    half = max(LEAST_POINTS, highest - lowest)
    axis.set_ylim(middle - half, middle + half)
    axis.grid(alpha=0.3)


def _ratios(report: PipelineReport, axis: Axis) -> None:
    """Throughput over that of the first row that has any, at each load."""
    measured = [row for row in report.rows if row.levels]
    if not measured:
        return
    first = measured[0]
    names = [row.name for row in measured]
    base = {}
    for level in first.levels:
        if level.output_tokens_per_s:
            base[level.concurrency] = level.output_tokens_per_s
    height = GROUP_HEIGHT / max(1, len(base))
    for number, (load, rate) in enumerate(base.items()):
        ratios = [_rate_at(row, load) / rate for row in measured]
        label = counted(load or 0, "stream")
        heights = _heights(names, number * height)
        bars = axis.barh(heights, ratios, height=height, label=label)
        axis.bar_label(bars, fmt="%.1fx", fontsize=SMALL, padding=2)
    middle = GROUP_HEIGHT / 2 - height / 2
    ticks = _heights(names, middle)
    axis.set_yticks(ticks, names)
    axis.invert_yaxis()
    axis.set_title(f"Throughput over {first.name}")
    axis.set_xlabel("times")
    axis.legend()
    axis.grid(alpha=0.3, axis="x")


def _heights(names: list[str], offset: float) -> list[float]:
    """Where a bar of each row stands."""
    return [number + offset for number in range(len(names))]


def _rate_at(row: Row, load: int | None) -> float:
    for level in row.levels:
        if level.concurrency == load:
            return level.output_tokens_per_s
    return 0.0
