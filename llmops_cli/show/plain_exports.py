"""The table of any run as Markdown and as a page, where a command has nothing richer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich.table import Table
from rich.text import Text

from llmops_cli.core.visible import visible_line
from llmops_cli.show.page import (
    html_about,
    html_item,
    html_picture,
    html_row,
    html_table,
    plain_page,
)
from llmops_cli.show.runs import Export, OpenedRun, PageMaker, export_table

WIDE = 10_000


def markdown_export(kind: str) -> Export:
    """`kind`: the command, for the title."""

    def text(run: OpenedRun) -> str:
        return table_markdown(export_table(run, WIDE), title=f"{kind}: {run.name}")

    return Export(text=text)


def plain_pages(kind: str, *, picture: str | None = None) -> PageMaker:
    """A table of each run, and the picture of that name from its folder."""

    def page(runs: Sequence[OpenedRun]) -> str:
        parts = [f"<h1>{escape(kind)}</h1>"]
        for run in runs:
            parts.append(f"<h2>{escape(visible_line(run.name))}</h2>")
            parts.append(table_html(export_table(run, WIDE)))
            if picture is not None:
                parts.append(html_picture(run.path / picture, f"a picture of {run.name}"))
            parts.append(html_about(run.report.manifest))
        return plain_page(title=kind, body="".join(parts))

    return page


def table_markdown(table: Table, *, title: str) -> str:
    """Its rows, and its notes below."""
    rows = [_heads(table), ["---"] * len(table.columns), *_rows(table)]
    lines = [f"| {' | '.join(map(_markdown_cell, row))} |" for row in rows]
    notes = [f"- {_markdown_cell(note)}" for note in _notes(table)]
    parts = [f"### {_markdown_cell(title)}", "", *lines]
    if notes:
        parts += ["", *notes]
    return "\n".join(parts) + "\n"


def table_html(table: Table) -> str:
    rows = [html_row([escape(text) for text in row]) for row in _rows(table)]
    notes = "".join(html_item(note) for note in _notes(table))
    title = f"<p>{escape(_plain(table.title))}</p>" if table.title else ""
    return title + html_table(_heads(table), rows) + (f"<ul>{notes}</ul>" if notes else "")


def _heads(table: Table) -> list[str]:
    return [_plain(column.header) for column in table.columns]


def _rows(table: Table) -> list[list[str]]:
    columns = [[_plain(text) for text in column.cells] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _notes(table: Table) -> list[str]:
    return [note for note in _plain(table.caption).split("\n") if note]


def _plain(shown: object) -> str:
    """Without the marks of a terminal."""
    if shown is None:
        return ""
    if isinstance(shown, Text):
        return shown.plain
    return Text.from_markup(str(shown)).plain


def _markdown_cell(text: str) -> str:
    shown = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        shown = shown.replace(mark, f"\\{mark}")
    return shown
