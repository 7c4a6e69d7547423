"""What came of one case under one prompt and one model; a line of the run's file."""

from __future__ import annotations

import msgspec

from llmops_cli.prompt.checks.scoring import Score


class EvalTask(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to be had: numbers of a plan's prompt, model and case, and which repeat."""

    number: int
    model: int
    prompt: int
    case: int
    repeat: int


class EvalOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`error`: why there is no answer or no verdict. Cost is None where no prices are known."""

    number: int
    answer: str = ""
    score: Score | None = None
    error: str = ""
    latency_ms: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    judge_tokens: int = 0
    cost: float | None = None
    finish_reason: str = ""
    is_cached: bool = False

    @property
    def is_decided(self) -> bool:
        """It has a verdict."""
        return self.score is not None and not self.error

    @property
    def passed(self) -> bool:
        return self.is_decided and self.score is not None and self.score.passed
