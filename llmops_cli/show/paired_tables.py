"""A comparison case by case, for terminals and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.show.paired import (
    ColumnDifference,
    PairedComparison,
    PairedRun,
    compare_paired,
)
from llmops_cli.show.runs import Compared
from llmops_cli.show.tables import MISSING, add_columns, cell
from llmops_cli.show.words import percent

HEADS = ("", "cases", "before", "after", "difference", "95 %", "won", "lost", "p", "verdict")
WORDS = ("", "verdict")
DROPPABLE = ("won", "lost", "p", "cases")
SMALLEST_P = 0.001


def compared(baseline: PairedRun, run: PairedRun, min_effect: float | None) -> Compared:
    """As `llmops report compare` shows it."""
    found = compare_paired(baseline, run, min_effect=min_effect or 0.0)
    figures = _figure_names(found)
    rows = [_row(each, figures) for each in found.columns]
    heads = (*HEADS[:-1], *figures, HEADS[-1])
    table = Table(title=cell(_title(found)), title_justify="left")
    add_columns(table, heads, words=WORDS)
    for row in rows:
        table.add_row(*map(cell, row))
    return Compared(
        result=found,
        table=table,
        markdown=markdown_rows(heads, rows),
        droppable=(*figures, *DROPPABLE),
        warnings=found.warnings,
    )


def require_measure(metrics: Sequence[str], known: Sequence[str]) -> str:
    """The one that is compared; the first of those known where none is named.

    Raises: UsageError for another, or for several.
    """
    for name in metrics:
        if name not in known:
            raise unknown_name("metric", name, known)
    if len(metrics) > 1:
        raise UsageError("one metric is compared at a time", hint=f"--metric {metrics[0]}")
    return metrics[0] if metrics else known[0]


def _title(found: PairedComparison) -> str:
    alone = found.alone_baseline + found.alone_run
    words = f"{found.measure}, {found.run} against {found.baseline}"
    return f"{words}; {counted(alone, 'case')} in one run alone" if alone else words


def _figure_names(found: PairedComparison) -> list[str]:
    """Those that any column has a value of."""
    names: dict[str, None] = {}
    for column in found.columns:
        for name, values in column.figures.items():
            if None not in values:
                names[name] = None
    return list(names)


def _row(each: ColumnDifference, figures: Sequence[str]) -> list[str]:
    low, high = each.ci95
    name = each.run if each.run == each.baseline else f"{each.run} against {each.baseline}"
    return [
        name,
        str(each.cases),
        percent(each.rate_baseline),
        percent(each.rate_run),
        f"{each.difference:+.1%}",
        f"{low:+.1%} to {high:+.1%}",
        str(each.only_run),
        str(each.only_baseline),
        p_words(each.p_adjusted),
        *(_figure(each, name) for name in figures),
        each.verdict,
    ]


def p_words(value: float) -> str:
    return f"< {SMALLEST_P}" if value < SMALLEST_P else f"{value:.3f}"


def _figure(each: ColumnDifference, name: str) -> str:
    before, after = each.figures.get(name, (None, None))
    if before is None or after is None:
        return MISSING
    return f"{before:,.6g} to {after:,.6g}"


def markdown_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    shown = [[text.replace("|", "\\|").replace("\n", " ") for text in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in shown)
