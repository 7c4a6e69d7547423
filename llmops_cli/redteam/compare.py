"""Two runs beside each other: which families succeed more or less often, beyond chance."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
from rich.table import Table

from llmops_cli.redteam.report import FamilyResult, RedteamReport
from llmops_cli.redteam.show import ALL
from llmops_cli.show.tables import add_columns
from llmops_cli.show.words import percent

COLUMNS = ("family", "before", "after", "difference", "95 %", "verdict")

ShareVerdict = Literal["worse", "better", "no difference shown"]


class ShareDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One family's shares of success, and the 95 % interval of their difference."""

    family: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    verdict: ShareVerdict


def compare(before: RedteamReport, after: RedteamReport) -> list[ShareDifference]:
    """The families that both runs have, then all."""
    pairs = []
    for name, result in before.families.items():
        other = after.families.get(name)
        if other is not None:
            pairs.append((name, result, other))
    pairs.append((ALL, before.overall, after.overall))
    found = [_difference(*pair) for pair in pairs]
    return [row for row in found if row is not None]


def _difference(
    name: str,
    before: FamilyResult,
    after: FamilyResult,
) -> ShareDifference | None:
    """With Newcombe's interval (1998, method 10)."""
    if before.asr is None or before.ci95 is None:
        return None
    if after.asr is None or after.ci95 is None:
        return None
    low_before, high_before = before.ci95
    low_after, high_after = after.ci95
    change = after.asr - before.asr
    down = math.hypot(after.asr - low_after, high_before - before.asr)
    up = math.hypot(high_after - after.asr, before.asr - low_before)
    low = change - down
    high = change + up
    return ShareDifference(
        family=name,
        before=before.asr,
        after=after.asr,
        difference=change,
        low=low,
        high=high,
        verdict=_verdict(low, high),
    )


def _verdict(low: float, high: float) -> ShareVerdict:
    if low > 0:
        return "worse"
    if high < 0:
        return "better"
    return "no difference shown"


def comparison_table(before: RedteamReport, after: RedteamReport) -> Table:
    """The same for people."""
    table = Table(title="attack success, before and after", title_justify="left")
    add_columns(table, COLUMNS, words=("family", "verdict"))
    for row in compare(before, after):
        table.add_row(
            row.family,
            percent(row.before),
            percent(row.after),
            f"{row.difference:+.1%}",
            f"{row.low:+.1%} to {row.high:+.1%}",
            row.verdict,
        )
    return table
