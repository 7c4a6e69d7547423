"""A moderation model as a table, a page and a model card."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.guard.moderation.report import CategoryRates, ModerationTrainReport
from llmops_cli.show.page import html_facts, html_row, html_table, plain_page
from llmops_cli.show.runs import Show

HEADS = (
    "category",
    "texts",
    "caught (95 %)",
    "others",
    "false alarms (95 %)",
    "average precision",
    "threshold",
)
DROPPABLE = ("threshold", "others", "average precision")
CAPTION = "Each text was judged by a model that had not seen it (five folds, by the text)."


def moderation_table(report: ModerationTrainReport) -> Table:
    table = Table(title=title_of(report), title_justify="left", caption_justify="left")
    for head in HEADS:
        table.add_column(head, justify="left" if head == HEADS[0] else "right")
    for rates in report.categories:
        table.add_row(*_cells(rates))
    table.caption = CAPTION
    return table


def title_of(report: ModerationTrainReport) -> str:
    return f"guard train: {report.manifest.recipe['data']}, {counted(report.texts, 'text')}"


def facts_of(report: ModerationTrainReport) -> dict[str, str]:
    """Names with what they are."""
    left_out = ", ".join(f"{name} ({texts})" for name, texts in report.left_out.items())
    recipe = report.manifest.recipe
    return {
        "texts": str(report.texts),
        "false alarms allowed": f"{100 * float(str(recipe['false_alarms'])):g} % a category",
        "left out, too few texts": left_out or "none",
        "one window": f"{report.window_ms:.2f} ms on one core",
        "folder": report.folder,
    }


def moderation_page(reports: Sequence[ModerationTrainReport]) -> str:
    """One HTML file without scripts."""
    parts = ["<h1>llmops guard train: moderation</h1>"]
    for report in reports:
        parts.append(f"<h2>{escape(title_of(report))}</h2>")
        parts.append(html_facts(facts_of(report)))
        cells = [_cells(rates) for rates in report.categories]
        rows = [html_row([escape(cell) for cell in row]) for row in cells]
        parts.append(html_table(list(HEADS), rows))
        parts.append(f"<p>{escape(CAPTION)}</p>")
    titles = ", ".join(title_of(report) for report in reports)
    return plain_page(title=titles, body="".join(parts))


def card_of(report: ModerationTrainReport) -> str:
    """The model card, in Markdown."""
    facts = "\n".join(f"- {name}: {text}" for name, text in facts_of(report).items())
    rows = "\n".join(f"| {' | '.join(_cells(rates))} |" for rates in report.categories)
    rule = "|".join("---" for _ in HEADS)
    return f"""# A moderation model for llmops' guard

{facts}

In a policy: `moderation: {{action: flag, name: "onnx:{report.folder}"}}`. It knows the texts that
it was fitted to and their like; another language, or another sort of text, it does not.

| {" | ".join(HEADS)} |
|{rule}|
{rows}

{CAPTION}
"""


def _cells(rates: CategoryRates) -> list[str]:
    return [
        rates.category,
        str(rates.texts),
        _share(rates.caught, rates.caught_ci95),
        str(rates.others),
        _share(rates.alarms, rates.alarms_ci95),
        f"{rates.precision:.3f}",
        f"{rates.threshold:.3f}",
    ]


def _share(share: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{share:.1%} ({100 * low:.1f}-{100 * high:.1f})"


def _figures(report: ModerationTrainReport) -> str:
    caught = sum(rates.caught for rates in report.categories) / len(report.categories)
    return f"{counted(len(report.categories), 'category', 'categories')}, {caught:.0%} caught"


SHOW = Show(
    table=lambda report, word, width: moderation_table(report),
    droppable=DROPPABLE,
    figures=_figures,
    page=lambda runs: moderation_page([run.report for run in runs]),
)
