"""Artifacts as a picture: loss against size, and how fast each serves. matplotlib comes late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_cli.quantize.choice import pareto_front
from llmops_cli.quantize.report import QuantizedArtifact, QuantizeReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST_LOSS = 1e-7
"""A logarithmic axis has no zero."""
MB = 1e6
PLOT = "quantize.png"
"""The picture's name beside the report; its page holds a copy."""
FIGURE_INCHES = (13, 5.2)
BEST = "C0"
OTHER = "0.65"


def save_quantize_plot(report: QuantizeReport, path: Path) -> Path | None:
    """The picture's place; None without matplotlib, or without any measured loss."""
    rated = [a for a in report.artifacts if a.kl_divergence is not None]
    if not rated:
        return None
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, 2, figsize=FIGURE_INCHES, layout="constrained", width_ratios=(3, 2)
    )
    _draw_quality(axes[0], rated)
    _draw_speed(axes[1], rated)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return path


def _place(artifact: QuantizedArtifact) -> tuple[float, float]:
    """Size in MB, and loss."""
    loss = artifact.kl_divergence or 0.0
    return artifact.size_bytes / MB, max(loss, SMALLEST_LOSS)


def _draw_quality(axes: Axes, rated: Sequence[QuantizedArtifact]) -> None:
    """Size against KL divergence, with the Pareto front as steps."""
    front = pareto_front(rated)
    places = []
    for artifact in rated:
        is_best = artifact.name in front
        _draw_point(axes, artifact, is_best=is_best)
        if is_best:
            places.append(_place(artifact))
    line = sorted(places)
    if line:
        sizes = [size for size, _ in line]
        losses = [loss for _, loss in line]
        axes.plot(sizes, losses, drawstyle="steps-post", color=BEST, alpha=0.5)
    axes.set(
        title="Loss against size (the line: nothing is both smaller and nearer to the base)",
        yscale="log",
        xlabel="weights in MB",
        ylabel="mean KL divergence in nats",
    )
    largest = max(artifact.size_bytes for artifact in rated)
    right = largest / MB * 1.25
    axes.set_xlim(left=0, right=right)
    axes.grid(alpha=0.3)


def _draw_point(
    axes: Axes,
    artifact: QuantizedArtifact,
    *,
    is_best: bool,
) -> None:
    place = _place(artifact)
    color = BEST if is_best else OTHER
    text_color = "black" if is_best else "0.45"
    axes.scatter(*place, s=70, color=color, zorder=3)
    axes.annotate(
        artifact.name,
        place,
        textcoords="offset points",
        xytext=(7, 4),
        fontsize=8,
        color=text_color,
    )


def _draw_speed(axes: Axes, rated: Sequence[QuantizedArtifact]) -> None:
    """One stream's tokens a second, with the memory beside the bar."""
    names: list[str] = []
    speeds: list[float] = []
    for artifact in rated:
        served = artifact.served
        if served is None:
            continue
        speed = served.output_tokens_per_s
        if not speed:
            continue
        if served.peak_rss_bytes:
            megabytes = served.peak_rss_bytes / MB
            place = (speed, len(names))
            axes.annotate(f" {megabytes:,.0f} MB", place, va="center", fontsize=7)
        names.append(f"{artifact.name}\n{served.engine}")
        speeds.append(speed)
    axes.barh(names, speeds, color="C2")
    axes.set(title="Serving one stream, with peak memory", xlabel="output tokens/s")
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(x=0.15)
    axes.invert_yaxis()
