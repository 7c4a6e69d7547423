"""Conditions on a run whose cases are paired with a baseline's: `worse > 0`, `pass_rate < -5%`.

A share fails only where its whole interval is beyond the limit; errors and what was used are as
they were measured. What cannot be told fails too: a model that is gone must not pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmops_cli.core.conditions import (
    Condition,
    Grammar,
    Operator,
    Unit,
    parse_condition,
    require_telling,
)
from llmops_cli.core.errors import UsageError
from llmops_cli.core.significance import SURE, mcnemar_p
from llmops_cli.show.gates import ConditionOutcome, JudgedCondition
from llmops_cli.show.paired import (
    WORSE,
    ColumnDifference,
    PairedColumn,
    PairedComparison,
    PairedRun,
    changed_cases,
    column_pairs,
    compare_paired,
    undecided,
)
from llmops_cli.show.tables import four_digits

ERRORS = "errors"
ALL = "all"


def judge_paired(
    run: PairedRun,
    baseline: PairedRun | None,
    texts: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    """Every condition. Raises: UsageError for one that cannot be judged, whatever was measured."""
    conditions = [_read(text, run, baseline) for text in texts]
    judged = [] if allow_invalid else _untrusted(run, baseline)
    compared = None if baseline is None else compare_paired(baseline, run)
    for condition in conditions:
        if condition.metric == WORSE:
            judged.append(_worse(condition, compared))
        elif condition.is_relative:
            judged += _changes(condition, run, compared)
        else:
            judged += [_absolute(condition, each, run.measure) for each in run.columns]
    return judged


def _figure_names(run: PairedRun) -> list[str]:
    names: dict[str, None] = {}
    for column in run.columns:
        names.update(dict.fromkeys(column.figures))
    return list(names)


def _read(text: str, run: PairedRun, baseline: PairedRun | None) -> Condition:
    grammar = Grammar(
        metrics=(run.measure, ERRORS, WORSE, *_figure_names(run)),
        operators=(Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST),
        units=(Unit.PERCENT, Unit.MILLISECONDS, Unit.SECONDS),
        has_changes=True,
        example=f"worse > 0, {run.measure} < -5%, {run.measure} < 90%, errors > 0",
    )
    condition = parse_condition(text, grammar)
    if condition.part:
        raise UsageError(f"{condition.text}: no part '{condition.part}'", hint=grammar.example)
    needs_baseline = condition.is_relative or condition.metric == WORSE
    if needs_baseline and baseline is None:
        raise UsageError(
            f"'{condition.text}' needs something to compare with", hint="--baseline RUN"
        )
    is_share = condition.unit is Unit.PERCENT
    has_share = condition.is_relative or condition.metric in (run.measure, ERRORS)
    is_time = condition.unit in (Unit.SECONDS, Unit.MILLISECONDS)
    is_odd = is_share and not has_share
    is_odd |= is_time and not condition.metric.endswith("_ms")
    is_odd |= condition.is_relative and (not is_share or condition.metric in (WORSE, ERRORS))
    if is_odd:
        raise UsageError(
            f"'{condition.text}': a change is in % with its sign, and a limit has its own unit",
            hint=grammar.example,
        )
    low, high = _bounds(condition, run)
    require_telling(condition, low=low, high=high)
    return condition


def _bounds(condition: Condition, run: PairedRun) -> tuple[float, float]:
    """Between which every value lies."""
    if condition.metric == run.measure:
        return (-1 if condition.is_relative else 0), 1
    if condition.is_relative:
        return -1, math.inf
    if condition.metric == WORSE:
        return 0, len(run.columns)
    if condition.metric == ERRORS and condition.unit is Unit.PERCENT:
        return 0, 1
    return 0, math.inf


def _judged(
    condition: Condition,
    load: str,
    outcome: ConditionOutcome,
    text: str,
) -> JudgedCondition:
    return JudgedCondition(condition=condition.text, load=load, outcome=outcome, text=text)


def _holds(condition: Condition, load: str, *, holds: bool, text: str) -> JudgedCondition:
    outcome = ConditionOutcome.FAILED if holds else ConditionOutcome.PASSED
    return _judged(condition, load, outcome, text)


def _unknown(condition: Condition, load: str, text: str) -> JudgedCondition:
    return _judged(condition, load, ConditionOutcome.UNKNOWN, text)


def _worse(condition: Condition, compared: PairedComparison | None) -> JudgedCondition:
    assert compared is not None
    names = [each.run for each in compared.columns if each.verdict == WORSE]
    told = f"{len(names)} of {len(compared.columns)} are surely worse"
    text = f"{told}: {', '.join(names)}" if names else told
    holds = condition.holds(len(names))
    few = [each for each in compared.columns if _is_never_sure(each, compared)]
    if few and not holds:
        return _unknown(condition, few[0].run, _too_few(few[0]))
    return _holds(condition, ALL, holds=holds, text=text)


def _is_never_sure(each: ColumnDifference, compared: PairedComparison) -> bool:
    """Even if every case of it had turned."""
    return len(compared.columns) * mcnemar_p(each.cases, 0) >= SURE


def _too_few(each: ColumnDifference) -> str:
    return f"{each.cases} cases make nothing sure"


def _changes(
    condition: Condition,
    run: PairedRun,
    compared: PairedComparison | None,
) -> list[JudgedCondition]:
    """Of each column that the baseline has too; of others nobody can tell."""
    assert compared is not None
    judged = []
    known = {each.run: each for each in compared.columns}
    for column in run.columns:
        each = known.get(column.label)
        if each is None:
            judged.append(_unknown(condition, column.label, "the baseline has nothing like it"))
        elif condition.metric == run.measure:
            judged.append(_share_change(condition, each, compared))
        else:
            judged.append(_figure_change(condition, each))
    return judged


def _share_change(
    condition: Condition,
    each: ColumnDifference,
    compared: PairedComparison,
) -> JudgedCondition:
    """In points."""
    if _is_never_sure(each, compared):
        return _unknown(condition, each.run, _too_few(each))
    low, high = each.ci95
    is_sure = condition.is_sure(low, high) and each.p_adjusted < SURE
    text = f"{each.difference:+.1%} ({low:+.1%} to {high:+.1%})"
    if not is_sure and condition.is_beyond(each.difference):
        text += ", within chance"
    return _holds(condition, each.run, holds=is_sure, text=text)


def _figure_change(condition: Condition, each: ColumnDifference) -> JudgedCondition:
    before, after = each.figures.get(condition.metric, (None, None))
    if not before or after is None:
        return _unknown(condition, each.run, f"{condition.metric} was not measured in both")
    change = after / before - 1
    text = f"{four_digits(before)} -> {four_digits(after)} ({change:+.1%})"
    return _holds(condition, each.run, holds=condition.holds(change), text=text)


def _absolute(condition: Condition, column: PairedColumn, measure: str) -> JudgedCondition:
    if condition.metric == ERRORS:
        had = column.n + column.errors
        is_share = condition.unit is Unit.PERCENT
        value = column.errors / had if is_share and had else column.errors
        return _holds(
            condition, column.label, holds=condition.holds(value), text=four_digits(value)
        )
    if condition.metric != measure:
        figure = column.figures.get(condition.metric)
        if figure is None:
            return _unknown(condition, column.label, "it was not measured")
        return _holds(
            condition, column.label, holds=condition.holds(figure), text=four_digits(figure)
        )
    if column.rate is None or column.ci95 is None:
        return _unknown(condition, column.label, "no answer has a verdict")
    low, high = column.ci95
    is_sure = condition.is_sure(low, high)
    text = f"{column.rate:.1%} ({low:.1%} to {high:.1%})"
    if not is_sure and condition.is_beyond(column.rate):
        text += ", within chance"
    return _holds(condition, column.label, holds=is_sure, text=text)


def _untrusted(run: PairedRun, baseline: PairedRun | None) -> list[JudgedCondition]:
    """What no condition asks for, and still makes a verdict worthless."""
    runs = [run] if baseline is None else [run, baseline]
    found = [
        _doubt("complete", one.name, f"stopped early: {one.stopped}") for one in runs if one.stopped
    ]
    found += [
        _doubt("verdicts", each.label, "no answer has a verdict")
        for each in run.columns
        if not each.n
    ]
    if baseline is None:
        return found
    pairs = column_pairs(baseline, run)
    found += _alone(baseline, [a.label for a, _ in pairs])
    found += _alone(run, [b.label for _, b in pairs])
    for a, b in pairs:
        lost = undecided(a, b)
        if lost and b.n:
            text = f"{lost} cases that the baseline decided have no verdict"
            found.append(_doubt("verdicts", b.label, text))
    changed = changed_cases(baseline, run)
    if changed:
        text = f"{len(changed)} cases have other values or assertions, as '{changed[0]}'"
        found.append(_doubt("same cases", ALL, text))
    return found


def _alone(one: PairedRun, paired: Sequence[str]) -> list[JudgedCondition]:
    """Columns that the other run has not."""
    return [
        _doubt("same columns", each.label, f"{one.name} alone has it")
        for each in one.columns
        if each.label not in paired
    ]


def _doubt(what: str, load: str, text: str) -> JudgedCondition:
    return JudgedCondition(
        condition=what, load=load, outcome=ConditionOutcome.UNKNOWN, text=text, asked=False
    )
