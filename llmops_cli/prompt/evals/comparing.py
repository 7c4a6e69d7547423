"""`select-best` and `max-score`: assertions on all answers to one case, once they are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.suite import Case, Check
from llmops_cli.prompt.checks.judged import JudgeFailed, best_of
from llmops_cli.prompt.checks.ranking import Ranking, ranking_of
from llmops_cli.prompt.checks.scoring import Judged, scored
from llmops_cli.prompt.checks.table import COMPARED
from llmops_cli.prompt.checks.verdict import Misused, Verdict, no_verdict
from llmops_cli.prompt.evals.judging import ClientJudge, filled_check, named_checks
from llmops_cli.prompt.evals.outcome import EvalOutcome, EvalTask
from llmops_cli.prompt.evals.plan import EvalPlan
from llmops_cli.prompt.transforms import as_text

BEST = "select-best"


async def compare_answers(
    plan: EvalPlan,
    outcomes: dict[int, EvalOutcome],
    judge: ClientJudge,
) -> dict[int, EvalOutcome]:
    """The outcomes that change: of each case one answer passes, and the others fail."""
    changed: dict[int, EvalOutcome] = {}
    for (case, _), tasks in _together(plan).items():
        checks = plan.cases[case].all_checks()
        for place, check in enumerate(checks):
            if check.kind not in COMPARED:
                continue
            current = {**outcomes, **changed}
            there = [current[task.number] for task in tasks if task.number in current]
            answers = [each for each in there if _is_judged(each, len(checks))]
            if answers and not _is_compared(check, place, answers):
                changed |= await _compared_by(place, plan.cases[case], answers, judge)
    return changed


def _together(plan: EvalPlan) -> dict[tuple[int, int], list[EvalTask]]:
    """Tasks of the same case and repeat."""
    groups: dict[tuple[int, int], list[EvalTask]] = defaultdict(list)
    for task in plan.tasks:
        groups[task.case, task.repeat].append(task)
    return groups


def _is_judged(outcome: EvalOutcome, checks: int) -> bool:
    """By every assertion; an answer whose transform failed has no part of any."""
    if outcome.score is None or not outcome.is_decided:
        return False
    return len(outcome.score.parts) == checks


def _is_compared(check: Check, place: int, answers: Sequence[EvalOutcome]) -> bool:
    """Whether a judge has chosen already: before it does, that part of each answer counts in full.

    A ranking is free, and is made anew.
    """
    chosen = sum(_parts(each)[place].score > 0 for each in answers)
    return check.kind == BEST and len(answers) > 1 and chosen == 1


async def _compared_by(
    place: int,
    case: Case,
    answers: Sequence[EvalOutcome],
    judge: ClientJudge,
) -> dict[int, EvalOutcome]:
    """By the assertion that stands at that place among the case's."""
    check = case.all_checks()[place]
    try:
        best = await _best(filled_check(check, case.variables), case, answers, judge)
    except (JudgeFailed, Misused) as failed:
        verdicts = [no_verdict(f"{check.kind}: {failed}")] * len(answers)
    except UsageError as error:
        verdicts = [no_verdict(f"{check.where}: {error.message}")] * len(answers)
    else:
        verdicts = [_verdict(is_best=number == best) for number in range(len(answers))]
    return {
        answer.number: _with(answer, case, place, verdict)
        for answer, verdict in zip(answers, verdicts, strict=True)
    }


def _verdict(*, is_best: bool) -> Verdict:
    reason = "" if is_best else "another answer is better"
    return Verdict(passed=is_best, score=float(is_best), reason=reason)


async def _best(
    check: Check,
    case: Case,
    answers: Sequence[EvalOutcome],
    judge: ClientJudge,
) -> int | None:
    """The number of the best; None where none is good enough. Raises: JudgeFailed, Misused."""
    if check.kind == BEST:
        return await best_of(as_text(check.value or ""), [each.answer for each in answers], judge)
    options = ranking_of(check)
    kinds = [each.kind for each in case.all_checks()]
    scores = [_total(each, kinds, options) for each in answers]
    best = max(range(len(scores)), key=scores.__getitem__)
    return None if scores[best] < options.threshold else best


def _total(answer: EvalOutcome, kinds: Sequence[str], options: Ranking) -> float:
    """Of its other assertions."""
    score = 0.0
    weight = 0.0
    for kind, part in zip(kinds, _parts(answer), strict=True):
        if kind in COMPARED:
            continue
        own = options.weights.get(part.name, part.weight)
        score += part.score * own
        weight += own
    if options.method == "sum":
        return score
    return score / weight if weight else 0.0


def _parts(answer: EvalOutcome) -> Sequence[Judged]:
    """One for each assertion of its case, in their order."""
    return () if answer.score is None else answer.score.parts


def _with(answer: EvalOutcome, case: Case, place: int, verdict: Verdict) -> EvalOutcome:
    """Scored anew, with that verdict in its place."""
    verdicts = [
        Verdict(passed=part.passed, score=part.score, reason=part.reason, error=part.error)
        for part in _parts(answer)
    ]
    verdicts[place] = verdict
    score = scored(named_checks(case), verdicts, threshold=case.threshold)
    return msgspec.structs.replace(answer, score=score, error=score.error)
