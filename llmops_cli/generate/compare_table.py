"""Two batches compared row by row, for terminals and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.generate.compare import COST, SECONDS, RowDifference, RowsComparison, compare_rows
from llmops_cli.show.paired_tables import markdown_rows, p_words
from llmops_cli.show.runs import Compared, OpenedRun
from llmops_cli.show.tables import MISSING, add_columns, cell
from llmops_cli.show.words import percent

HEADS = ("", "rows", "before", "after", "change", "95 %", "p", "verdict")
WORDS = ("", "verdict")
DROPPABLE = ("p", "rows")
DIGITS = {SECONDS: 3, COST: 6}
"""Of amounts; tokens have one."""


def compared_rows(baseline: OpenedRun, run: OpenedRun, min_effect: float | None) -> Compared:
    """As `llmops report compare` shows it."""
    found = compare_rows(baseline, run, min_effect=min_effect or 0.0)
    rows = [_row(each) for each in found.measures]
    table = Table(title=cell(_title(found)), title_justify="left")
    add_columns(table, HEADS, words=WORDS)
    for row in rows:
        table.add_row(*map(cell, row))
    return Compared(
        result=found,
        table=table,
        markdown=markdown_rows(HEADS, rows),
        droppable=DROPPABLE,
        warnings=found.warnings,
    )


def _title(found: RowsComparison) -> str:
    words = f"{found.run} against {found.baseline}"
    alone = found.alone_baseline + found.alone_run
    return f"{words}; {counted(alone, 'row')} in one run alone" if alone else words


def _row(each: RowDifference) -> Sequence[str]:
    interval = MISSING
    if each.ci95 is not None:
        low, high = each.ci95
        interval = f"{low:+.1%} to {high:+.1%}"
    return [
        _name(each),
        f"{each.rows:,}",
        _value(each, each.baseline),
        _value(each, each.run),
        f"{each.change:+.1%}",
        interval,
        MISSING if each.p_adjusted is None else p_words(each.p_adjusted),
        each.verdict,
    ]


def _name(each: RowDifference) -> str:
    if each.kind:
        return each.kind
    words = each.measure.replace("_", " ")
    return words if each.is_share else f"{words} a row"


def _value(each: RowDifference, value: float) -> str:
    if each.is_share:
        return percent(value)
    return f"{value:,.{DIGITS.get(each.measure, 1)}f}"
