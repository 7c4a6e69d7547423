"""Outcomes become shares with intervals, and techniques are compared question by question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import msgspec

from llmops_cli.core.significance import holm, mcnemar_p, paired_interval
from llmops_cli.core.stats import share_interval
from llmops_cli.prompt.technique_run.asker import Usage
from llmops_cli.prompt.technique_run.cases import Case
from llmops_cli.prompt.technique_run.outcome import QuestionOutcome
from llmops_cli.prompt.technique_run.report import (
    AnsweredQuestion,
    PairResult,
    Score,
    TechniqueResult,
)

READINGS = ("strict", "lenient")
WRONG_SHOWN = 3
"""Wrong answers of each technique that a report has."""
ByTechnique = Mapping[str, Sequence[QuestionOutcome]]


def technique_result(
    outcomes: Sequence[QuestionOutcome],
    *,
    preparation: Usage,
    examples_made: int,
) -> TechniqueResult:
    """Of one technique."""
    whole = Usage()
    whole.add(preparation)
    for outcome in outcomes:
        whole.add(outcome.usage)
    asked_s = whole.latency_s - preparation.latency_s
    errors = Counter(outcome.error for outcome in outcomes if outcome.error)
    return TechniqueResult(
        questions=len(outcomes),
        answered=len(outcomes) - errors.total(),
        strict=_score(outcomes, "strict"),
        lenient=_score(outcomes, "lenient"),
        errors=dict(errors),
        calls=whole.calls,
        preparation_calls=preparation.calls,
        input_tokens=whole.input_tokens,
        output_tokens=whole.output_tokens,
        cost=whole.cost,
        latency_s=asked_s / max(1, len(outcomes)),
        saved_tokens=whole.saved_tokens,
        examples_made=examples_made,
    )


def _score(outcomes: Sequence[QuestionOutcome], reading: str) -> Score | None:
    """None where no answer is known."""
    judged = [getattr(outcome, reading) for outcome in outcomes]
    known = [is_right for is_right in judged if is_right is not None]
    if not known:
        return None
    right = sum(known)
    return Score(
        right=right,
        questions=len(known),
        share=right / len(known),
        ci95=share_interval(right, len(known)),
    )


def pairs_of(outcomes: ByTechnique) -> list[PairResult]:
    """Each two techniques by each reading, on the questions that both were asked."""
    found: list[PairResult] = []
    for reading in READINGS:
        pairs = [
            _pair(first, second, reading, outcomes) for first, second in combinations(outcomes, 2)
        ]
        adjusted = holm([pair.p for pair in pairs])
        for pair, p_adjusted in zip(pairs, adjusted, strict=True):
            if pair.both + pair.only_first + pair.only_second + pair.neither:
                found.append(msgspec.structs.replace(pair, p_adjusted=p_adjusted))
    return found


def _pair(first: str, second: str, reading: str, outcomes: ByTechnique) -> PairResult:
    a = _right_by_case(outcomes[first], reading)
    b = _right_by_case(outcomes[second], reading)
    both_asked = [(a[case], b[case]) for case in a if case in b]
    counts = Counter(both_asked)
    only_first = counts[True, False]
    only_second = counts[False, True]
    differences = [float(is_right_b) - float(is_right_a) for is_right_a, is_right_b in both_asked]
    p = mcnemar_p(only_first, only_second)
    return PairResult(
        first=first,
        second=second,
        reading=reading,
        both=counts[True, True],
        only_first=only_first,
        only_second=only_second,
        neither=counts[False, False],
        difference=sum(differences) / max(1, len(differences)),
        ci95=paired_interval(differences),
        p=p,
        p_adjusted=p,
    )


def _right_by_case(outcomes: Sequence[QuestionOutcome], reading: str) -> dict[int, bool]:
    found = {}
    for outcome in outcomes:
        is_right = getattr(outcome, reading)
        if is_right is not None:
            found[outcome.case] = bool(is_right)
    return found


def shown_answers(cases: Sequence[Case], outcomes: ByTechnique) -> list[AnsweredQuestion]:
    """Of a single question all, else the first wrong ones of each technique."""
    found = []
    for of_technique in outcomes.values():
        chosen = of_technique
        if len(cases) > 1:
            chosen = [outcome for outcome in of_technique if outcome.lenient is False]
        found += [_answered(cases[each.case], each) for each in chosen[:WRONG_SHOWN]]
    return found


def _answered(case: Case, outcome: QuestionOutcome) -> AnsweredQuestion:
    return AnsweredQuestion(
        technique=outcome.technique,
        question=case.question,
        expected=case.answer,
        strict=outcome.reading.strict,
        lenient=outcome.reading.lenient,
        is_right_strictly=outcome.strict,
        is_right_leniently=outcome.lenient,
        text=outcome.text,
        trace=list(outcome.trace),
        calls=outcome.usage.calls,
        error=outcome.error,
    )
