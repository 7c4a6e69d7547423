"""What is wrong with a finished batch: it was stopped, nothing was answered, a condition holds."""

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
from llmops_cli.core.errors import EngineFailed, GateFailed, Interrupted, LlmopsError, UsageError
from llmops_cli.generate.plan import prices_of
from llmops_cli.generate.recipe import GenerateRecipe
from llmops_cli.generate.report import GenerateReport, Stop
from llmops_cli.show.gates import ConditionOutcome, JudgedCondition

ERRORS = "errors"
COST = "cost"
ALL = "all rows"
GRAMMAR = Grammar(
    metrics=(ERRORS, COST),
    operators=(Operator.ABOVE, Operator.AT_LEAST),
    units=(Unit.PERCENT,),
    refusal="--fail-if '{text}' cannot be read",
    example="errors > 1%, cost > 5",
)


def condition_of(text: str, recipe: GenerateRecipe) -> Condition:
    """Raises: UsageError for what cannot be read, or can tell nothing of such a run."""
    condition = parse_condition(text, GRAMMAR)
    if condition.part:
        raise UsageError(f"{condition.text}: no part '{condition.part}'", hint=GRAMMAR.example)
    if condition.metric == ERRORS:
        hint = "a share of the rows, with a percent sign: errors > 1%"
        require_telling(condition, low=0, high=1, hint=hint)
        return condition
    if condition.unit is not None:
        raise UsageError(f"{condition.text}: a cost has no unit", hint=GRAMMAR.example)
    if not prices_of(recipe).are_given:
        raise UsageError(f"{condition.text} needs prices", hint="--price-in and --price-out")
    highest = math.inf if recipe.max_cost is None else recipe.max_cost
    require_telling(condition, low=0, high=highest, hint="--max-cost is the most that it takes")
    return condition


def failure_of(
    report: GenerateReport,
    conditions: Sequence[Condition],
) -> LlmopsError | None:
    """What the command ends with, after it has shown the report."""
    if report.stopped is Stop.INTERRUPTED:
        return Interrupted("interrupted; the same command goes on")
    if report.stopped is Stop.SERVER_GONE:
        return EngineFailed(
            f"the server answers no more; {report.answered:,} of {report.rows:,} rows are answered",
            hint="the same command with --retry-errors goes on",
        )
    if report.failed and not report.answered:
        kind = max(report.error_kinds, key=lambda name: report.error_kinds[name])
        return EngineFailed(f"no row was answered: {kind}", hint="check --url and --model")
    holding = [each.text for each in conditions if _holds(report, each)]
    if holding:
        return GateFailed("; ".join(holding))
    if report.stopped is not None:
        return GateFailed(
            f"{report.stopped} stopped it: {report.not_asked:,} of {report.rows:,} rows were not"
            " asked",
            hint="the same command with a higher cap goes on",
        )
    return None


def judged_of(report: GenerateReport, condition: Condition) -> JudgedCondition:
    """For `llmops report gate`."""
    outcome = ConditionOutcome.FAILED if _holds(report, condition) else ConditionOutcome.PASSED
    value = _value(report, condition.metric)
    return JudgedCondition(condition=condition.text, load=ALL, outcome=outcome, text=f"{value:.4g}")


def _holds(report: GenerateReport, condition: Condition) -> bool:
    return condition.holds(_value(report, condition.metric))


def _value(report: GenerateReport, metric: str) -> float:
    return report.cost or 0.0 if metric == COST else report.failed / report.rows
