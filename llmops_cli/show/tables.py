"""Cells and grids that the commands' tables share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy as shallow

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from llmops_cli.core.visible import visible_line

UNBOUNDED = 10_000
LINES = 25
"""Height of the console that measures: without one rich takes a dumb terminal's width for ours."""
FOLDED_WIDTH = 16
"""Characters that a column of words keeps at least."""
MISSING = "-"
"""What a cell without a value shows."""


def cell(text: str) -> str:
    """Words of a server or a file as a cell shows them: no markup, nothing unseen."""
    return escape(visible_line(text))


def milliseconds(value: float | None) -> str:
    """Four or five digits."""
    if value is None:
        return MISSING
    if value < 10:
        return f"{value:,.2f}"
    if value < 1000:
        return f"{value:,.1f}"
    return f"{value:,.0f}"


def four_digits(value: float) -> str:
    """Of any size, and never as a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


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
    """A table where a terminal has room for it, else a narrower one: no figure is cut.

    `is_wrapping`: its cells are words, which may stand on several lines.
    """

    def __init__(self, wide: Table, narrow: Table, *, is_wrapping: bool = False) -> None:
        self.wide = wide
        self.narrow = narrow
        self._is_wrapping = is_wrapping

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = _needed(self.wide, is_wrapping=self._is_wrapping)
        table = self.wide if needed <= options.max_width else self.narrow
        yield from _with_words(console, table)


class Narrowed:
    """A table that loses no figure: where it is too wide it drops whole columns, then stacks rows.

    `droppable` are columns by name, the least important first; what was left out is told below.
    `wraps`: its cells are words, which may stand on several lines. `folds`: columns of which only
    that is true; they are made narrower before any other is dropped.
    """

    def __init__(
        self,
        table: Table,
        *,
        droppable: Sequence[str] = (),
        wraps: bool = False,
        folds: Sequence[str] = (),
    ) -> None:
        self._table = table
        self._droppable = droppable
        self._wraps = wraps
        self._folds = folds

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._fits(self._table, options):
            yield from _with_words(console, self._table)
            return
        if not self._table.show_header:
            yield from _with_words(console, self._table)  # names and words on them: these fold
            return
        dropped: list[str] = []
        for name in (None, *self._droppable):
            dropped += [column for column in _names(self._table) if column == name]
            if self._fits(self._copy(dropped, width=FOLDED_WIDTH), options):
                dropped = self._put_back(dropped, options)
                yield from _with_words(console, self._copy(dropped, width=None))
                break
        else:
            yield from _with_words(console, _stacked(self._table))
            return
        if dropped:
            names = dict.fromkeys(dropped)
            yield Text(f"no room for: {', '.join(names)}")

    def _put_back(self, dropped: Sequence[str], options: ConsoleOptions) -> list[str]:
        """What is still left out when narrow columns have the room that a wide one left."""
        left_out = list(dropped)
        for name in reversed(dropped):
            fewer = [each for each in left_out if each != name]
            if self._fits(self._copy(fewer, width=FOLDED_WIDTH), options):
                left_out = fewer
        return left_out

    def _fits(self, table: Table, options: ConsoleOptions) -> bool:
        return _needed(table, is_wrapping=self._wraps) <= options.max_width

    def _copy(self, dropped: Collection[str], *, width: int | None) -> Table:
        """With fewer lines, without some columns; those that fold are at most `width` wide."""
        copy = _like(self._table)
        kept = [column for column in self._table.columns if column.header not in dropped]
        for column in kept:
            is_folding = column.header in self._folds
            copy.add_column(
                column.header,
                justify=column.justify,
                no_wrap=not is_folding if self._folds else column.no_wrap,
                overflow="fold" if is_folding else column.overflow,
                max_width=width if is_folding else None,
            )
        cells = [list(column.cells) for column in kept]
        for row in zip(*cells, strict=True):
            copy.add_row(*row)
        return copy


def never_cut(drawn: RenderableType) -> RenderableType:
    """A bare table as one that loses no figure; anything else as it is."""
    return Narrowed(drawn) if isinstance(drawn, Table) else drawn


def _needed(table: Table, *, is_wrapping: bool) -> int:
    """Columns of a terminal that a table takes."""
    widths = Console(width=UNBOUNDED, height=LINES).measure(table)
    return widths.minimum if is_wrapping else widths.maximum


def _with_words(console: Console, table: Table) -> Iterator[RenderableType]:
    """Title and caption as wide as the terminal: rich would fold them into the table's width."""
    bare = shallow(table)
    bare.title = None
    bare.caption = None
    if table.title:
        yield _words(console, table.title, table.title_style or "table.title")
    yield bare
    if table.caption:
        yield _words(console, table.caption, table.caption_style or "table.caption")


def _words(console: Console, text: str | Text, style: StyleType) -> Text:
    if isinstance(text, Text):
        return text
    return console.render_str(text, style=style, highlight=False)


def _names(table: Table) -> list[str]:
    return [str(column.header) for column in table.columns]


def _stacked(table: Table) -> Table:
    """A line for each cell, with its column's name, and a rule between rows."""
    copy = _like(table)
    copy.show_header = False
    copy.add_column(no_wrap=True)
    copy.add_column(overflow="fold")
    cells = [list(column.cells) for column in table.columns]
    names = [column.header for column in table.columns]
    for row in zip(*cells, strict=True):
        for name, cell in zip(names, row, strict=True):
            if cell:
                copy.add_row(name, cell)
        copy.add_section()
    return copy


def blocks_table(blocks: Sequence[Mapping[str, str]]) -> Table:
    """A line for each cell, with its name, and a gap between blocks."""
    table = _like(Table())
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for block in blocks:
        for name, value in block.items():
            table.add_row(name, value)
        table.add_section()
    return table


def _like(table: Table) -> Table:
    """An empty table of the same words, with fewer lines."""
    return Table(
        title=table.title,
        title_justify=table.title_justify,
        caption=table.caption,
        caption_justify=table.caption_justify,
        caption_style=table.caption_style,
        box=box.SIMPLE_HEAD,
        padding=0,
        collapse_padding=True,
        pad_edge=False,
    )


def natural_width(table: Table) -> int:
    """Columns of a terminal in which no cell is cut or wrapped."""
    return _needed(table, is_wrapping=False)


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
