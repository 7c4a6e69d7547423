"""What is wrong with a finished run: it was interrupted, or nothing answered."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from llmops_cli.core.calls import call
from llmops_cli.core.errors import EngineFailed, GateFailed, Interrupted, LlmopsError
from llmops_cli.prompt.technique_run.report import PromptRunReport
from llmops_cli.runtime.outcomes import StopReason


def error_of(report: PromptRunReport, folder: Path) -> LlmopsError | None:
    """To be raised once the report was shown; None where all is well."""
    hint = call("prompt", "run", "--resume", folder)
    if report.stopped == StopReason.INTERRUPTED:
        return Interrupted("interrupted", hint=hint)
    results = report.techniques.values()
    asked = sum(result.questions for result in results)
    answered = sum(result.answered for result in results)
    if answered:
        return None
    if not asked:
        reason = report.stopped or "no question was asked"
        return GateFailed(f"nothing was measured: {reason}", hint=f"{hint} --max-cost MORE")
    kinds: Counter[str] = Counter()
    for result in results:
        kinds.update(result.errors)
    ((kind, _),) = kinds.most_common(1)
    return EngineFailed(
        f"no question was answered: {kind}", hint=f"check --url and --model; {hint} asks again"
    )
