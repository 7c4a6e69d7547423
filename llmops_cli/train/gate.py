"""Conditions on a training run: `loss > 0.3`, `tokens_per_s < -5%`, `validation_loss > +2%`."""

from __future__ import annotations

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
from llmops_cli.show.gates import ConditionOutcome, JudgedCondition
from llmops_cli.show.runs import OpenedRun
from llmops_cli.train.figures import FIGURES

GRAMMAR = Grammar(
    metrics=tuple(FIGURES),
    operators=(Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST),
    units=(Unit.PERCENT,),
    example="validation_loss > +2%",
    has_changes=True,
)
PLACE = "run"


def gate(
    run: OpenedRun,
    baseline: OpenedRun | None,
    conditions: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    """Raises: UsageError for a condition that cannot be judged."""
    del allow_invalid
    parsed = [_read(text) for text in conditions]
    return [_judged(condition, run, baseline) for condition in parsed]


def _read(text: str) -> Condition:
    """Raises: UsageError also for one that no run can make hold."""
    condition = parse_condition(text, GRAMMAR)
    if condition.part:
        raise UsageError(f"'{condition.text}': no part '{condition.part}'", hint=GRAMMAR.example)
    if condition.is_relative != (condition.unit is Unit.PERCENT):
        raise UsageError(
            f"'{condition.text}': a change has a sign and a %, a limit neither",
            hint=GRAMMAR.example,
        )
    low = -1 if condition.is_relative else 0
    require_telling(condition, low=low)
    return condition


def _judged(
    condition: Condition,
    run: OpenedRun,
    baseline: OpenedRun | None,
) -> JudgedCondition:
    value = FIGURES[condition.metric](run.report)
    before = None
    if condition.is_relative:
        if baseline is None:
            raise UsageError(
                f"'{condition.text}' is a change against a baseline", hint="give --baseline RUN"
            )
        before = FIGURES[condition.metric](baseline.report)
    if value is None or (condition.is_relative and not before):
        outcome = ConditionOutcome.UNKNOWN
        text = f"the run has no {condition.metric}"
    elif before:
        change = (value - before) / before
        outcome = _outcome(condition, change)
        text = f"{before:.4g} -> {value:.4g} ({change:+.2%})"
    else:
        outcome = _outcome(condition, value)
        text = f"{value:.4g}"
    return JudgedCondition(condition=condition.text, load=PLACE, outcome=outcome, text=text)


def _outcome(condition: Condition, value: float) -> ConditionOutcome:
    """The condition says when a build fails."""
    if condition.is_beyond(value):
        return ConditionOutcome.FAILED
    return ConditionOutcome.PASSED
