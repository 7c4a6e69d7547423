"""Cells and grids that the commands' tables share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

UNBOUNDED = 10_000
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


class ByWidth:
    """A table where a terminal has room for it, else a narrower one: no figure is cut."""

    def __init__(self, wide: Table, narrow: Table) -> None:
        self.wide = wide
        self.narrow = narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.wide if natural_width(self.wide) <= options.max_width else self.narrow


def natural_width(table: Table) -> int:
    """Columns of a terminal in which no cell is cut or wrapped."""
    return Console(width=UNBOUNDED).measure(table).maximum


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
