"""Conditions on an evaluation of the guard: `tpr < 30%`, `fpr.docs > 1%`, `worse > 0`.

A share fails only where its whole 95 % interval lies beyond the limit.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.core.conditions import (
    Condition,
    Grammar,
    Operator,
    Unit,
    parse_condition,
    require_telling,
)
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.guard.evaluation.compare import RIGHT, paired_of
from llmops_cli.guard.evaluation.rates import DetectionRates
from llmops_cli.guard.evaluation.report import GuardEvalReport
from llmops_cli.show.gates import ConditionOutcome, JudgedCondition
from llmops_cli.show.paired import WORSE
from llmops_cli.show.paired_gate import judge_paired
from llmops_cli.show.runs import OpenedRun
from llmops_cli.show.words import percent, percent_interval

TPR = "tpr"
FPR = "fpr"
RATES = (TPR, FPR)
GRAMMAR = Grammar(
    metrics=(*RATES, RIGHT, WORSE),
    operators=(Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST),
    units=(Unit.PERCENT,),
    has_changes=True,
    example="tpr < 30%, fpr > 1%, tpr.FAMILY < 50%, worse > 0",
)


class _Share(msgspec.Struct, frozen=True):
    value: float | None
    ci95: tuple[float, float] | None


def judge_rates(
    run: OpenedRun,
    baseline: OpenedRun | None,
    conditions: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    """Every condition. Raises: UsageError for one that cannot be judged, whatever was measured."""
    report: GuardEvalReport = run.report
    parsed = [parse_condition(text, GRAMMAR) for text in conditions]
    own = [each for each in parsed if each.metric in RATES]
    for each in own:
        if each.is_relative:
            raise UsageError(
                f"'{each.text}': a change is judged text by text",
                hint=f"{RIGHT} < -5%, {WORSE} > 0",
            )
    judged = [_judged(each, report) for each in own]
    others = [each.text for each in parsed if each not in own]
    if not others and baseline is None:
        return judged
    before = None if baseline is None else paired_of(baseline)
    return [*judged, *judge_paired(paired_of(run), before, others, allow_invalid=allow_invalid)]


def _judged(condition: Condition, report: GuardEvalReport) -> JudgedCondition:
    require_telling(condition, low=0, high=1, hint="a share with a percent sign")
    place, share = _share_of(condition, report)
    if share.value is None or share.ci95 is None:
        outcome = ConditionOutcome.UNKNOWN
        text = "there are no such texts"
    else:
        is_sure = condition.is_sure(*share.ci95)
        outcome = ConditionOutcome.FAILED if is_sure else ConditionOutcome.PASSED
        text = f"{percent(share.value)} ({percent_interval(share.ci95)})"
        if not is_sure and condition.is_beyond(share.value):
            text += ", within chance"
    return JudgedCondition(condition=condition.text, load=place, outcome=outcome, text=text)


def _share_of(condition: Condition, report: GuardEvalReport) -> tuple[str, _Share]:
    """Of all texts, of a family or of a source, with the name of the place."""
    groups: dict[str, DetectionRates] = {**report.sources, **report.families}
    rates = report.overall
    if condition.part:
        if condition.part not in groups:
            raise unknown_name("family or source", condition.part, groups)
        rates = groups[condition.part]
    place = condition.part or "all"
    if condition.metric == TPR:
        return place, _Share(rates.tpr, rates.tpr_ci95)
    return place, _Share(rates.fpr, rates.fpr_ci95)
