"""Service-level objectives: `ttft_p95=200ms,tpot_p95=50ms,error_rate=1%`."""

from __future__ import annotations

import msgspec

from llmops_cli.bench.record import METRICS, Record, came_at_once
from llmops_cli.core.conditions import (
    Condition,
    Grammar,
    Operator,
    Unit,
    parse_conditions,
)
from llmops_cli.core.errors import UsageError

ERROR_RATE = "error_rate"
SLO_METRICS = {name.removesuffix("_ms"): name for name in METRICS if name != "connect_ms"}
GRAMMAR = Grammar(
    noun="objective",
    metrics=(*SLO_METRICS, ERROR_RATE),
    operators=(Operator.IS, Operator.AT_MOST, Operator.BELOW),
    units=tuple(Unit),
    refusal="'{text}' is no objective",
    example="for example ttft_p95=200ms,tpot_p95=50ms,error_rate=1%",
)


class Slo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`share` of the requests must have `metric` at or under `limit_ms`.

    A failed request misses every objective, and so does one whose value was not measured. The
    metric `error_rate` has no limit in ms: at least `share` of the requests must succeed.
    """

    text: str
    metric: str
    share: float
    limit_ms: float | None = None

    def met_by(self, record: Record) -> bool:
        if record.error is not None:
            return False
        if self.limit_ms is None:
            return True
        value = METRICS[self.metric](record)
        if value is None:  # fewer than two tokens have no time between them
            return record.first_ns is not None and not came_at_once(record)
        return value <= self.limit_ms


def parse_slos(text: str) -> tuple[Slo, ...]:
    """Raises: UsageError for an unknown metric or a term without a limit."""
    conditions = parse_conditions(text, GRAMMAR)
    return tuple(_objective(condition) for condition in conditions)


def _objective(condition: Condition) -> Slo:
    if condition.metric == ERROR_RATE:
        return _success(condition)
    return _latency(condition)


def _success(condition: Condition) -> Slo:
    is_share = condition.unit in (Unit.PERCENT, None)
    if condition.part or not is_share:
        raise UsageError(f"'{condition.text}': error_rate is a share", hint="error_rate=1%")
    if condition.limit >= 1:
        raise UsageError(f"'{condition.text}': an error rate is under 100 %", hint="error_rate=1%")
    return Slo(text=condition.text, metric=ERROR_RATE, share=1 - condition.limit)


def _latency(condition: Condition) -> Slo:
    is_share = condition.unit is Unit.PERCENT
    if is_share or not condition.percentile:
        raise UsageError(
            f"'{condition.text}' is no objective", hint=f"for example {condition.metric}_p95=200ms"
        )
    if condition.limit <= 0:
        raise UsageError(
            f"'{condition.text}' is never met: nothing takes no time", hint=GRAMMAR.example
        )
    unit = "" if condition.unit else Unit.MILLISECONDS.value  # told where it was left out
    return Slo(
        text=f"{condition.text}{unit}",
        metric=SLO_METRICS[condition.metric],
        share=condition.percentile / 100,
        limit_ms=condition.limit,
    )
