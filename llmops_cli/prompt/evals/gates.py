"""`--fail-if` of `prompt eval`, and what else is wrong with a finished run.

A condition holds by what was measured, in any cell; `worse` counts cells that are surely worse than
the first. A cell without verdicts fails any condition: a model that is gone must not pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmops_cli.core.calls import call
from llmops_cli.core.conditions import Condition, Grammar, Operator, Unit, parse_condition
from llmops_cli.core.errors import EngineFailed, GateFailed, Interrupted, LlmopsError, UsageError
from llmops_cli.prompt.evals.report import CellName, EvalCell, EvalPair, EvalReport
from llmops_cli.runtime.outcomes import StopReason

WORSE = "worse"
LATENCY = "latency_ms"
METRICS = ("pass_rate", "score", "errors", "cost", "tokens", LATENCY, WORSE)
GRAMMAR = Grammar(
    metrics=METRICS,
    operators=(Operator.ABOVE, Operator.AT_LEAST, Operator.BELOW, Operator.AT_MOST),
    units=(Unit.PERCENT, Unit.MILLISECONDS, Unit.SECONDS),
    refusal="--fail-if '{text}' cannot be read",
    example="pass_rate < 90%, score < 0.8, errors > 0, cost > 1, latency_ms.p95 > 500, worse > 0",
)
PERCENTILES = ("p50", "p95")
SHARE = (None, Unit.PERCENT)
COUNT = (None,)
UNITS = {
    "pass_rate": SHARE,
    "score": SHARE,
    "errors": SHARE,
    "cost": COUNT,
    "tokens": COUNT,
    LATENCY: (None, Unit.MILLISECONDS, Unit.SECONDS),
    WORSE: COUNT,
}


def read_conditions(texts: Sequence[str]) -> list[Condition]:
    """Raises: UsageError for what cannot be read."""
    return [_read(text) for text in texts]


def _read(text: str) -> Condition:
    condition = parse_condition(text, GRAMMAR)
    if condition.part and (condition.metric != LATENCY or condition.part not in PERCENTILES):
        raise UsageError(f"{condition.text}: no part '{condition.part}'", hint=GRAMMAR.example)
    if condition.unit not in UNITS[condition.metric]:
        raise UsageError(
            f"{condition.text}: {condition.metric} has another unit", hint=GRAMMAR.example
        )
    return condition


def error_of(
    report: EvalReport,
    conditions: Sequence[Condition],
    folder: Path,
) -> LlmopsError | None:
    """What the command ends with, after it has shown the report."""
    again = call("prompt", "eval", "--resume", folder)
    if report.stopped == StopReason.INTERRUPTED:
        return Interrupted(f"interrupted; {again} goes on")
    broken = [text for condition in conditions for text in _holding(report, condition)]
    if broken:
        return GateFailed("; ".join(broken))
    decided = sum(each.n for each in report.cells)
    kinds = [kind for each in report.cells for kind in each.error_kinds]
    if not decided and kinds:
        return EngineFailed(
            f"no answer has a verdict: {kinds[0]}",
            hint=f"check --url, --model and the judge's; {again} asks again",
        )
    if not decided:
        reason = report.stopped or "no case was asked"
        return GateFailed(f"nothing was measured: {reason}", hint=f"{again}, with a higher budget")
    return None


def _holding(report: EvalReport, condition: Condition) -> list[str]:
    if condition.metric == WORSE:
        unknown = [each for each in report.cells if not each.n]
        if unknown:
            return [f"{condition.text}: nothing was measured of {unknown[0].name}"]
        count = sum(_is_worse(report, pair) for pair in report.pairs)
        return [f"{condition.text}: {count} are"] if condition.holds(count) else []
    found = []
    for each in report.cells:
        value = _value(each, condition)
        if value is None:
            found.append(f"{condition.text}: nothing was measured of {each.name}")
        elif condition.holds(value):
            found.append(f"{condition.text}: {each.name} has {value:.4g}")
    return found


def _is_worse(report: EvalReport, pair: EvalPair) -> bool:
    """Whether the first cell is the better one of a pair that it is in."""
    first = report.cells[0]
    named = CellName(prompt=first.prompt, model=first.model)
    sides = {"a": pair.a, "b": pair.b}
    return pair.better is not None and sides[pair.better] == named


def _value(cell: EvalCell, condition: Condition) -> float | None:
    if condition.metric == "errors":
        total = cell.n + cell.errors
        is_share = condition.unit is Unit.PERCENT
        return cell.errors / total if is_share and total else float(cell.errors)
    if not cell.n:
        return None
    if condition.metric == LATENCY:
        return cell.latency_p50_ms if condition.part == "p50" else cell.latency_p95_ms
    values: dict[str, float | None] = {
        "pass_rate": cell.pass_rate,
        "score": cell.score,
        "cost": cell.cost,
        "tokens": float(cell.tokens),
    }
    return values[condition.metric]
