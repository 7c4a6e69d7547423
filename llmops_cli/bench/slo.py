"""Service-level objectives: `ttft_p95=200ms,tpot_p95=50ms,error_rate=1%`."""

from __future__ import annotations

import re

import msgspec

from llmops_cli.bench.record import METRICS, Record
from llmops_cli.core.errors import UsageError, unknown_name

SLO_METRICS = {name.removesuffix("_ms"): name for name in METRICS if name != "connect_ms"}
_TERM = re.compile(
    r"(\w+?)(?:_p(\d{1,2}(?:\.\d+)?))?\s*(?:=|<=|<)\s*(\d+(?:\.\d+)?)\s*(us|ms|s|%)?"
)
_TO_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, None: 1.0}


class Slo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`share` of the requests must have `metric` at or under `limit_ms`. A failed request misses
    every objective.

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
        return value is None or value <= self.limit_ms


def parse_slos(text: str) -> tuple[Slo, ...]:
    """Raises: UsageError for an unknown metric or a term without a limit."""
    return tuple(_term(part.strip()) for part in text.split(",") if part.strip())


def _term(part: str) -> Slo:
    found = _TERM.fullmatch(part)
    if not found:
        raise UsageError(
            f"'{part}' is no objective",
            hint="for example ttft_p95=200ms,tpot_p95=50ms,error_rate=1%",
        )
    name, quantile, number, unit = found.groups()
    if name == "error_rate":
        if quantile or unit not in ("%", None):
            raise UsageError(f"'{part}': error_rate is a share", hint="error_rate=1%")
        share = float(number) / 100 if unit == "%" else float(number)
        if share >= 1:
            raise UsageError(f"'{part}': an error rate is under 100 %", hint="error_rate=1%")
        return Slo(text=part, metric=name, share=1 - share)
    if name not in SLO_METRICS:
        raise unknown_name("objective", name, [*SLO_METRICS, "error_rate"])
    if unit == "%" or not quantile or float(quantile) <= 0:
        raise UsageError(f"'{part}' is no objective", hint=f"for example {name}_p95=200ms")
    return Slo(
        text=part,
        metric=SLO_METRICS[name],
        share=float(quantile) / 100,
        limit_ms=float(number) * _TO_MS[unit],
    )
