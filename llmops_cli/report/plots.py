"""Plots of reports as PNG. matplotlib is imported late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.report import PipelineReport, QuantizeReport
from llmops_cli.report.choice import pareto_front


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


def save_quantize_plot(report: QuantizeReport, path: Path) -> Path | None:
    """Size against KL divergence, with the Pareto front; speed and memory of serving. None without
    matplotlib.
    """
    rated = [a for a in report.artifacts if a.kl_divergence is not None]
    try:
        import matplotlib
    except ImportError:
        return None
    if not rated:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (quality, speed) = pyplot.subplots(
        1, 2, figsize=(13, 5.2), layout="constrained", width_ratios=(3, 2)
    )
    front = pareto_front(rated)
    for a in rated:
        best = a.name in front
        quality.scatter(
            a.size_bytes / 1e6,
            max(a.kl_divergence or 0, 1e-7),
            s=70,
            color="C0" if best else "0.65",
            zorder=3,
        )
        quality.annotate(
            a.name,
            (a.size_bytes / 1e6, max(a.kl_divergence or 0, 1e-7)),
            textcoords="offset points",
            xytext=(7, 4),
            fontsize=8,
            color="black" if best else "0.45",
        )
    line = sorted(
        (a.size_bytes / 1e6, max(a.kl_divergence or 0, 1e-7)) for a in rated if a.name in front
    )
    quality.plot(
        *zip(*line, strict=True), drawstyle="steps-post", color="C0", alpha=0.5
    ) if line else None
    quality.set(
        title="Loss against size (the line: nothing is both smaller and nearer to the base)",
        yscale="log",
        xlabel="weights in MB",
        ylabel="mean KL divergence in nats",
    )
    quality.set_xlim(left=0, right=max(a.size_bytes for a in rated) / 1e6 * 1.25)
    quality.grid(alpha=0.3)
    served = [a for a in rated if a.served and a.served.output_tokens_per_s]
    names = [f"{a.name}\n{a.served.engine if a.served else ''}" for a in served]
    speed.barh(names, [a.served.output_tokens_per_s or 0 for a in served if a.served], color="C2")
    for at, a in enumerate(served):
        memory = a.served.peak_rss_bytes if a.served else None
        if a.served and memory:
            speed.annotate(
                f" {memory / 1e6:,.0f} MB",
                (a.served.output_tokens_per_s or 0, at),
                va="center",
                fontsize=7,
            )
    speed.set(title="Serving one stream, with peak memory", xlabel="output tokens/s")
    speed.tick_params(axis="y", labelsize=7)
    speed.margins(x=0.15)
    speed.invert_yaxis()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path


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
