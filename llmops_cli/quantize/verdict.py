"""What a finished quantization fails of: an artifact that is broken, or a limit that one breaks."""

from __future__ import annotations

from llmops_cli.core.errors import EngineFailed, GateFailed, LlmopsError
from llmops_cli.quantize.report import ProblemKind, QuantizeReport, problems_of

LIMITS = frozenset(
    {ProblemKind.PERPLEXITY_GREW, ProblemKind.NOT_MEASURED, ProblemKind.LOST_TOO_MUCH}
)
"""Measured values; every other problem is an artifact that is not what it should be."""


def failure_of(report: QuantizeReport, *, max_increase: float | None) -> LlmopsError | None:
    """None if nothing is wrong; a broken artifact comes before a broken limit.

    What was wished for and is not there comes before both.
    """
    problems = problems_of(report, max_increase=max_increase)
    missing = [f"{name} was not made: {reason}" for name, reason in report.failures.items()]
    told = "; ".join([*missing, *(problem.text for problem in problems)])
    if missing:
        return EngineFailed(told, hint="the same command goes on; what was made is kept")
    if not problems:
        return None
    if all(problem.kind in LIMITS for problem in problems):
        return GateFailed(told, hint="the artifact is marked; try more bits or another method")
    return EngineFailed(told, hint="the artifact is marked, and should not be used")
