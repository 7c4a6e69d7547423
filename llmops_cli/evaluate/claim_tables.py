"""Readings of claims, and what readers are worth, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.evaluate.claim_rates import ClaimRates
from llmops_cli.evaluate.claims import ClaimReading
from llmops_cli.show.tables import Narrowed, cell


def readings_table(readings: Sequence[ClaimReading | None], claims: Sequence[str]) -> Narrowed:
    """One row a claim."""
    table = Table(title="what the document says of each claim", title_justify="left")
    for name in ("verdict", "claim", "why", "sentence"):
        table.add_column(name)
    for claim, reading in zip(claims, readings, strict=True):
        if reading is None:
            table.add_row("undecided", cell(claim), "no verdict", "")
            continue
        table.add_row(
            str(reading.verdict).replace("_", " "),
            cell(claim),
            reading.why,
            cell(reading.sentence),
        )
    return Narrowed(table, folds=("claim", "why", "sentence"))


def rates_table(rates: ClaimRates) -> Table:
    """One row a verdict."""
    title = (
        f"{counted(rates.claims, 'claim')}, {rates.accuracy:.1%} right, {rates.undecided} undecided"
    )
    table = Table(title=title, title_justify="left")
    for name in ("verdict", "labelled", "called", "precision", "95 %", "recall", "95 %"):
        table.add_column(name, justify="left" if name == "verdict" else "right")
    for name, one in rates.verdicts.items():
        table.add_row(
            name.replace("_", " "),
            str(one.labelled),
            str(one.called),
            _share(one.precision),
            _interval(one.precision_ci95),
            _share(one.recall),
            _interval(one.recall_ci95),
        )
    return table


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _interval(bounds: tuple[float, float] | None) -> str:
    if bounds is None:
        return "-"
    low, high = bounds
    return f"{low:.0%} to {high:.0%}"
