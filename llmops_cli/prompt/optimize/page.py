"""An optimization as one HTML file without scripts: both prompts whole, and what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec

from llmops_cli.prompt.optimize.report import OptimizeReport, PromptResult
from llmops_cli.prompt.optimize.search import Tried
from llmops_cli.prompt.optimize.show import COLUMNS, prompt_rows, result_lines, title_of
from llmops_cli.show.page import html_about, html_item, html_row, html_table, plain_page
from llmops_cli.show.runs import OpenedRun
from llmops_cli.show.words import percent

TITLE = "llmops prompt optimize"
TRIED_HEADS = ("changes", "round", "cases", "train", "validation", "kept")


def optimize_page(runs: Sequence[OpenedRun]) -> str:
    """A section a run."""
    parts = [f"<h1>{TITLE}</h1>"]
    for run in runs:
        parts.append(f"<h2>{escape(run.name)}</h2>")
        parts += _section(run.report)
        parts.append(html_about(run.report.manifest))
    titles = [f"{run.name}: {title_of(run.report)}" for run in runs]
    return plain_page(title=", ".join(titles), body="".join(parts))


def _section(report: OptimizeReport) -> list[str]:
    lines = [html_item(line) for line in result_lines(report)]
    return [
        f"<p>{escape(title_of(report))}</p>",
        _table(COLUMNS, prompt_rows(report)),
        f"<ul>{''.join(lines)}</ul>",
        "<h3>Best prompt</h3>",
        *_messages(report.best),
        "<h3>As it was</h3>",
        *_messages(report.base),
        "<h3>Tried</h3>",
        _table(TRIED_HEADS, [_tried_cells(each) for each in report.tried]),
    ]


def _messages(result: PromptResult) -> list[str]:
    """Each message with its role; parts that are no text as JSON."""
    shown = []
    for message in result.messages:
        content = message.get("content")
        if not isinstance(content, str):
            content = msgspec.json.encode(content).decode()
        role = escape(str(message.get("role", "")))
        shown.append(f"<p>{role}</p><pre>{escape(content)}</pre>")
    return shown


def _tried_cells(tried: Tried) -> list[str]:
    return [
        ", ".join(tried.changes) or "none",
        str(tried.round),
        str(tried.cases),
        percent(tried.train_rate),
        percent(tried.validation_rate),
        "yes" if tried.is_kept else "no",
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [html_row([escape(text) for text in row]) for row in rows]
    return html_table(list(heads), lines)
