"""The figures of a training run that are compared and judged, by name."""

from __future__ import annotations

from collections.abc import Callable

from llmops_cli.train.report import TrainReport

Figure = Callable[[TrainReport], float | None]


def _validation_loss(report: TrainReport) -> float | None:
    return report.validation[-1].loss if report.validation else None


def _perplexity(report: TrainReport) -> float | None:
    return report.validation[-1].perplexity if report.validation else None


def _peak_rss_bytes(report: TrainReport) -> float | None:
    return report.memory.engine_peak_rss_bytes


def _peak_gpu_bytes(report: TrainReport) -> float | None:
    return report.memory.engine_peak_gpu_bytes


FIGURES: dict[str, Figure] = {
    "loss": lambda report: report.loss,
    "validation_loss": _validation_loss,
    "perplexity": _perplexity,
    "tokens_per_s": lambda report: report.tokens_per_s,
    "mfu": lambda report: report.mfu,
    "cpu_s": lambda report: report.cpu_s,
    "peak_rss_bytes": _peak_rss_bytes,
    "peak_gpu_bytes": _peak_gpu_bytes,
    "tokens": lambda report: report.tokens,
    "steps": lambda report: report.steps,
    "parameters": lambda report: report.parameters,
}
MORE_IS_BETTER = frozenset({"tokens_per_s", "mfu"})
LESS_IS_BETTER = frozenset(
    {"loss", "validation_loss", "perplexity", "cpu_s", "peak_rss_bytes", "peak_gpu_bytes"}
)
"""The others tell what was done, not how well."""
