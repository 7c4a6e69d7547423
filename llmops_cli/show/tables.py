"""Cells and grids that the commands' tables share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rich.table import Table

MISSING = "-"
"""What a cell without a value shows."""


def milliseconds(value: float | None) -> str:
    """Four or five digits."""
    if value is None:
        return MISSING
    if value < 10:
        return f"{value:,.2f}"
    if value < 1000:
        return f"{value:,.1f}"
    return f"{value:,.0f}"


def megabytes(value: int | None) -> str:
    if value is None:
        return MISSING
    return f"{value / 1e6:,.1f}"


def number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return MISSING
    return f"{value:,.{digits}f}"


def add_columns(table: Table, names: Iterable[str], *, words: Collection[str]) -> None:
    """Columns of words stand left, those of numbers right."""
    for name in names:
        if name in words:
            table.add_column(name, justify="left")
        else:
            table.add_column(name, justify="right")


def matrix_table(
    corner: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[str]]],
) -> Table:
    """Any grid of words."""
    table = Table(show_lines=False)
    table.add_column(corner, no_wrap=True)
    for name in columns:
        table.add_column(name, overflow="fold")
    for name, cells in rows:
        table.add_row(name, *cells)
    return table
