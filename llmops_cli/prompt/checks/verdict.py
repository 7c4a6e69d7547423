"""What an assertion is told of an answer, and what it says of it."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.prompt.case_file.suite import Check, FactualityScores


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, and all that an assertion may ask of how it came about.

    `text`: after transforms, as text; `value`: the same as what it is. None is what nobody told.
    """

    text: str
    value: Any  # Any: a text, or what JSON holds
    question: str = ""
    variables: dict[str, Any] = {}  # Any: a case's values
    latency_ms: float | None = None
    cost: float | None = None
    finish_reason: str = ""
    tool_calls: tuple[Any, ...] = ()  # Any: OpenAI's form of a call
    tools: tuple[Any, ...] = ()  # Any: OpenAI's form of a tool
    log_probabilities: tuple[float, ...] = ()
    was_filtered: bool = False
    factuality: FactualityScores = FactualityScores()
    rubric: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`error`: why there is no verdict, such as a judge that did not answer; then it is no pass."""

    passed: bool
    score: float
    reason: str = ""
    error: str = ""


class Misused(Exception):
    """An assertion that can judge nothing as it is written."""


def holds(
    is_so: bool,  # noqa: FBT001 - what the name of the function asks
    check: Check,
    words: str,
) -> Verdict:
    """A yes or a no, turned round by `not-`; `words` say what the answer should do."""
    passed = is_so is not check.is_negated
    if passed:
        return Verdict(passed=True, score=1.0)
    negation = "not " if check.is_negated else ""
    return Verdict(passed=False, score=0.0, reason=f"should {negation}{words}")


def reaches(score: float, check: Check, *, usual: float, name: str) -> Verdict:
    """A score against a threshold; `not-` asks that it stays below."""
    threshold = usual if check.threshold is None else check.threshold
    passed = (score >= threshold) is not check.is_negated
    own = 1 - score if check.is_negated else score
    side = "at least" if score >= threshold else "below"
    reason = "" if passed else f"{name} is {score:.4g}, {side} {threshold:g}"
    return Verdict(passed=passed, score=own, reason=reason)


def no_verdict(error: str) -> Verdict:
    """It could not be judged, which `not-` does not turn round."""
    return Verdict(passed=False, score=0.0, reason=error, error=error)


def text_of(check: Check) -> str:
    """Raises: Misused for a value that is no text or number."""
    value = check.value
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise Misused(f"{check.name} needs a text")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def texts_of(check: Check) -> list[str]:
    """One text, or several. Raises: Misused."""
    value = check.value
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return list(value)
    return [text_of(check)]
