"""Plots of reports as PNG. matplotlib is imported late."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.quantize.choice import pareto_front
from llmops_cli.quantize.report import QuantizeReport


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
