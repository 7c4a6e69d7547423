"""What is wrong with a finished run: nothing answered, it was stopped, a condition holds.

A condition (`--fail-if`) holds only where the whole 95 % interval lies beyond its limit. One with
attempts that nothing decided fails too, unless so many are allowed: a target that is gone, or a
judge, must not pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from llmops_cli.core.calls import call
from llmops_cli.core.conditions import Condition
from llmops_cli.core.errors import EngineFailed, GateFailed, Interrupted, LlmopsError
from llmops_cli.core.problem import Problem
from llmops_cli.core.stats import share_interval
from llmops_cli.redteam.conditions import ASR, ERRORS, GUARDED_ASR, REFUSED
from llmops_cli.redteam.report import FamilyResult, RedteamReport
from llmops_cli.redteam.results import Interval
from llmops_cli.runtime.outcomes import StopReason
from llmops_cli.show.tables import MISSING
from llmops_cli.show.words import percent_interval


class RedteamProblem(StrEnum):
    INTERRUPTED = "interrupted"
    NO_ANSWERS = "no answers"
    CONDITION_HOLDS = "condition holds"
    UNDECIDED = "undecided"


def problems_of(
    report: RedteamReport,
    conditions: Sequence[Condition] = (),
    *,
    allow_undecided: float = 0.0,
) -> list[Problem]:
    """In the order in which they matter.

    `allow_undecided`: the share of the planned attempts that may be without a verdict.
    """
    problems = []
    if report.stopped == StopReason.INTERRUPTED:
        interrupted = Problem(RedteamProblem.INTERRUPTED, "interrupted")
        problems.append(interrupted)
    elif _has_no_answers(report):
        kinds = Counter(report.error_kinds)
        kinds.update(report.undecided_kinds)
        kind = "unknown"
        if kinds:
            ((kind, _),) = kinds.most_common(1)
        text = f"no attempt was decided: {kind}"
        problems.append(Problem(RedteamProblem.NO_ANSWERS, text))
    for condition in conditions:
        problem = problem_of(report, condition, allow_undecided)
        if problem is not None:
            problems.append(problem)
    return problems


def _has_no_answers(report: RedteamReport) -> bool:
    answered = decided_of(report.overall)
    if report.twins:
        answered += report.twins.attempts
    return report.attempts > 0 and answered == 0


def decided_of(result: FamilyResult) -> int:
    """Attempts with a verdict; older reports do not count them themselves."""
    if result.decided is not None:
        return result.decided
    return result.attempts - result.errors


def interval_words(report: RedteamReport, condition: Condition) -> str:
    """What the condition is about, as it was measured."""
    result = _asked_of(report, condition)
    interval = None if result is None else _interval_of(result, condition.metric)
    return MISSING if interval is None else f"{percent_interval(interval)} with 95 % confidence"


def _asked_of(report: RedteamReport, condition: Condition) -> FamilyResult | None:
    if not condition.part:
        return report.overall
    return report.families.get(condition.part)


def problem_of(
    report: RedteamReport,
    condition: Condition,
    allow_undecided: float,
) -> Problem | None:
    """That it holds, or that nobody can tell."""
    result = _asked_of(report, condition)
    if result is None:
        text = f"{condition.text}: no attempt of {condition.part} was had"
        return Problem(RedteamProblem.UNDECIDED, text)
    interval = _interval_of(result, condition.metric)
    if interval is not None and condition.is_sure(*interval):
        words = percent_interval(interval)
        text = f"{condition.text}: it is {words} with 95 % confidence"
        return Problem(RedteamProblem.CONDITION_HOLDS, text)
    decided = result.attempts if condition.metric == ERRORS else decided_of(result)
    planned = result.planned
    if planned is None:
        planned = result.attempts
    is_enough = planned - decided <= allow_undecided * planned
    if interval is not None and is_enough:
        return None
    has_no_guard = condition.metric == GUARDED_ASR and result.guarded_asr is None
    text = f"{condition.text}: only {decided} of {planned} attempts were decided"
    if has_no_guard and decided:
        text = f"{condition.text}: no guard was in front; --guard puts one there"
    return Problem(RedteamProblem.UNDECIDED, text)


def _interval_of(result: FamilyResult, metric: str) -> Interval | None:
    """The 95 % interval of a share."""
    decided = decided_of(result)
    if metric == ASR:
        return result.ci95
    if metric == GUARDED_ASR:
        return result.guarded_ci95
    if metric == REFUSED:
        hits = result.refused
        total = decided
    else:
        hits = result.attempts - decided
        total = result.attempts
    if not total:
        return None
    return share_interval(hits, total)


def error_of(problems: Sequence[Problem], folder: Path) -> LlmopsError | None:
    """What the command ends with, after it has shown the report."""
    by_kind: dict[StrEnum, list[str]] = {}
    for problem in problems:
        texts = by_kind.setdefault(problem.kind, [])
        texts.append(problem.text)
    if RedteamProblem.INTERRUPTED in by_kind:
        return Interrupted(f"interrupted; {call('redteam', '--resume', folder)} goes on")
    holding = by_kind.get(RedteamProblem.CONDITION_HOLDS, [])
    undecided = by_kind.get(RedteamProblem.UNDECIDED, [])
    broken = [*holding, *undecided]
    if broken:
        hint = None
        if undecided:
            hint = "--resume has what failed again; --allow-undecided 5% lets so many be"
        return GateFailed("; ".join(broken), hint=hint)
    unanswered = by_kind.get(RedteamProblem.NO_ANSWERS)
    if unanswered:
        return EngineFailed(
            unanswered[0], hint="check --url and --model, and those of judge and attacker"
        )
    return None
