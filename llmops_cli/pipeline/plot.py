"""A pipeline's comparison as a picture. matplotlib is imported late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.pipeline.report import PipelineReport


def plot_pipeline(report: PipelineReport, path: Path) -> None:
    """Throughput over concurrency, TPOT over concurrency, and quality against size.

    Raises: EnvironmentMissing without matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        raise EnvironmentMissing(
            "plots need matplotlib", hint="pip install 'llmops-cli[plot]'"
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (speed, latency, quality) = pyplot.subplots(
        1, 3, figsize=(15, 4.6), layout="constrained"
    )
    for row in report.rows:
        streams = [level.concurrency for level in row.levels]
        speed.plot(
            streams, [level.output_tokens_per_s for level in row.levels], marker="o", label=row.name
        )
        latency.plot(
            streams, [level.tpot_ms.p50 for level in row.levels], marker="o", label=row.name
        )
        if row.task_accuracy is not None:
            quality.scatter(row.size_bytes / 1e6, row.task_accuracy * 100, s=70)
            quality.annotate(
                row.name,
                (row.size_bytes / 1e6, row.task_accuracy * 100),
                textcoords="offset points",
                xytext=(8, -4),
            )
    for axis, title, label in (
        (speed, "Throughput", "output tokens/s"),
        (latency, "Time per output token, p50", "TPOT in ms"),
    ):
        axis.set(title=title, xlabel="concurrent streams", ylabel=label, xscale="log")
        ticks = sorted(
            {level.concurrency for row in report.rows for level in row.levels if level.concurrency}
        )
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    speed.legend(fontsize=8)
    if not any(row.task_accuracy is not None for row in report.rows):
        _ratios(report, quality)
        figure.savefig(path, dpi=130)
        pyplot.close(figure)
        return
    quality.set(
        title="Task accuracy against size", xlabel="file size in MB", ylabel="exact match in %"
    )
    quality.set_xlim(left=0, right=max(row.size_bytes for row in report.rows) / 1e6 * 1.25)
    scores = [row.task_accuracy * 100 for row in report.rows if row.task_accuracy is not None]
    if scores:  # never zoom into less than ten points: a difference of half a point is noise
        middle = (min(scores) + max(scores)) / 2
        half = max(5.0, max(scores) - min(scores))
        quality.set_ylim(middle - half, middle + half)
    quality.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _ratios(report: PipelineReport, axis: Any) -> None:
    """Throughput over the first row's, at each load. Any: matplotlib has no types."""
    base = {level.concurrency: level.output_tokens_per_s for level in report.rows[0].levels}
    loads = [load for load in base if base[load]]
    height = 0.8 / max(1, len(loads))
    for i, load in enumerate(loads):
        ratios = [
            next((x.output_tokens_per_s for x in row.levels if x.concurrency == load), 0.0)
            / base[load]
            for row in report.rows
        ]
        places = [n + i * height for n in range(len(report.rows))]
        bars = axis.barh(
            places, ratios, height=height, label=f"{load} streams" if load != 1 else "1 stream"
        )
        axis.bar_label(bars, fmt="%.1fx", fontsize=8, padding=2)
    axis.set_yticks(
        [n + 0.4 - height / 2 for n in range(len(report.rows))], [row.name for row in report.rows]
    )
    axis.invert_yaxis()
    axis.set(title=f"Throughput over {report.rows[0].name}", xlabel="times")
    axis.legend()
    axis.grid(alpha=0.3, axis="x")
