"""What an alert is: its rule, its runbook and the series by which a test makes it fire."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["page", "ticket"]
Series = tuple[tuple[str, str], ...]
"""A series and its values, in promtool's notation, one each minute."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """`fires`, `silent`: see Series; `at`: when the test looks. `labels`: of the one that fires."""

    name: str
    expr: str
    wait: str
    severity: Severity
    summary: str
    runbook: str
    fires: Series
    silent: Series
    at: str = "30m"
    labels: dict[str, str] = {}


def gauge_alert(
    name: str,
    expr: str,
    *,
    wait: str,
    severity: Severity,
    summary: str,
    runbook: str,
    series: str,
    high: str,
    low: str,
    labels: dict[str, str] | None = None,
) -> Alert:
    return Alert(
        name=name,
        expr=expr,
        wait=wait,
        severity=severity,
        summary=summary,
        runbook=runbook,
        fires=((series, high),),
        silent=((series, low),),
        labels=labels or {},
    )
