"""`select-best` and `max-score`: assertions on all answers to one case, once they are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.suite import Case, Check
from llmops_cli.prompt.checks.judged import JudgeFailed, best_of
from llmops_cli.prompt.checks.scoring import Judged, Score
from llmops_cli.prompt.checks.table import COMPARED
from llmops_cli.prompt.evals.judging import ClientJudge
from llmops_cli.prompt.evals.outcome import EvalOutcome, EvalTask
from llmops_cli.prompt.evals.plan import EvalPlan
from llmops_cli.prompt.templates import render, settle_variables

BEST = "select-best"


async def compare_answers(
    plan: EvalPlan,
    outcomes: dict[int, EvalOutcome],
    judge: ClientJudge,
) -> dict[int, EvalOutcome]:
    """The outcomes that change: of each case one answer passes, and the others fail."""
    changed: dict[int, EvalOutcome] = {}
    for (case, _), tasks in _together(plan).items():
        for check in _compared(plan.cases[case]):
            current = {**outcomes, **changed}
            decided = [task.number for task in tasks if _is_decided(current.get(task.number))]
            if decided:
                answers = [current[number] for number in decided]
                changed |= await _compared_by(check, plan.cases[case], answers, judge)
    return changed


def _together(plan: EvalPlan) -> dict[tuple[int, int], list[EvalTask]]:
    """Tasks of the same case and repeat."""
    groups: dict[tuple[int, int], list[EvalTask]] = defaultdict(list)
    for task in plan.tasks:
        groups[task.case, task.repeat].append(task)
    return groups


def _compared(case: Case) -> list[Check]:
    return [check for check in case.all_checks() if check.kind in COMPARED]


def _is_decided(outcome: EvalOutcome | None) -> bool:
    return outcome is not None and outcome.is_decided


async def _compared_by(
    check: Check,
    case: Case,
    answers: Sequence[EvalOutcome],
    judge: ClientJudge,
) -> dict[int, EvalOutcome]:
    error = ""
    best = 0
    if check.kind == BEST:
        try:
            criterion = render(str(check.value or ""), settle_variables(case.variables))
            best = await best_of(criterion, [each.answer for each in answers], judge)
        except (JudgeFailed, UsageError) as failed:
            error = f"{check.kind}: {failed}"
    else:
        scores = [_other_score(each, check) for each in answers]
        best = max(range(len(scores)), key=scores.__getitem__)
    changed = {}
    for number, answer in enumerate(answers):
        part = _part(check, is_best=number == best, error=error)
        changed[answer.number] = _with(answer, part)
    return changed


def _other_score(answer: EvalOutcome, check: Check) -> float:
    """By its other assertions."""
    assert answer.score is not None
    parts = [part for part in answer.score.parts if part.where != check.where]
    weight = sum(part.weight for part in parts)
    if not weight:
        return 0.0
    return sum(part.score * part.weight for part in parts) / weight


def _part(check: Check, *, is_best: bool, error: str) -> Judged:
    reason = "" if is_best else "another answer is better"
    return Judged(
        name=check.name,
        passed=is_best and not error,
        score=float(is_best and not error),
        reason=error or reason,
        error=error,
        metric=check.metric,
        weight=check.weight,
        where=check.where,
    )


def _with(answer: EvalOutcome, part: Judged) -> EvalOutcome:
    """With that part in place of the one that waited."""
    score = answer.score
    assert score is not None
    parts = tuple(part if each.where == part.where else each for each in score.parts)
    weight = sum(each.weight for each in parts)
    mean = sum(each.score * each.weight for each in parts) / weight if weight else 0.0
    whole = Score(
        passed=score.passed and part.passed,
        score=mean,
        reason=score.reason or part.reason,
        error=part.error,
        metrics=score.metrics,
        parts=parts,
    )
    return msgspec.structs.replace(answer, score=whole, error=part.error)
