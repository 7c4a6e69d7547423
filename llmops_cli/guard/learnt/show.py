"""A learnt stage as a table, a page and a model card."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.guard.evaluation.rates import DetectionRates
from llmops_cli.guard.learnt.report import WORDS, GuardTrainReport
from llmops_cli.guard.learnt.transfer import SourceRates
from llmops_cli.show.page import html_facts, html_row, html_table, plain_page
from llmops_cli.show.runs import Show
from llmops_cli.show.tables import MISSING

HEADS = (
    "source left out",
    "attacks",
    "shipped rules",
    "rules",
    "rules and stage",
    "honest",
    "shipped rules flag",
    "rules flag",
    "both flag",
)
DROPPABLE = ("shipped rules flag", "shipped rules", "honest", "rules flag", "attacks")


def train_table(report: GuardTrainReport) -> Table:
    """Each source, judged by a stage that never saw it."""
    table = Table(title=title_of(report), title_justify="left", caption_justify="left")
    for head in HEADS:
        table.add_column(head, justify="left" if head == HEADS[0] else "right")
    for cells in _rows(report):
        table.add_row(*cells)
    table.caption = WORDS[report.transfer.outcome]
    return table


def title_of(report: GuardTrainReport) -> str:
    return f"guard train: {report.manifest.recipe['data']}, {_gain_words(report)}"


def facts_of(report: GuardTrainReport) -> dict[str, str]:
    """Names with what they are."""
    trained = report.trained
    recipe = report.manifest.recipe
    not_judged = report.transfer.not_judged
    return {
        "verdict": WORDS[report.transfer.outcome],
        "gain": _gain_words(report),
        "trained on": f"{counted(trained.attacks, 'attack')}, "
        f"{counted(trained.honest, 'honest text')}, "
        f"{trained.sources} sources",
        "data": f"{recipe['data']} ({report.stage.data_digest})",
        "false alarms allowed": _percent(float(str(recipe["false_alarms"]))),
        "seed": str(recipe["seed"]),
        "made by": f"llmops {report.stage.version}, {report.stage.schema}",
        "one window": f"{report.window_ms:.2f} ms on one core",
        "not judged": ", ".join(not_judged) or "none",
        "folder": report.folder,
    }


def train_page(reports: Sequence[GuardTrainReport]) -> str:
    """One HTML file without scripts."""
    parts = ["<h1>llmops guard train</h1>"]
    for report in reports:
        parts.append(f"<h2>{escape(title_of(report))}</h2>")
        parts.append(html_facts(facts_of(report)))
        rows = [html_row([escape(cell) for cell in cells]) for cells in _rows(report)]
        parts.append(html_table(list(HEADS), rows))
    titles = ", ".join(title_of(report) for report in reports)
    return plain_page(title=titles, body="".join(parts))


def card_of(report: GuardTrainReport) -> str:
    """The model card, in Markdown."""
    facts = "\n".join(f"- {name}: {text}" for name, text in facts_of(report).items())
    rows = "\n".join(_markdown(cells) for cells in _rows(report))
    rule = "|".join("---" for _ in HEADS)
    return f"""# A learnt stage of the guard

**{WORDS[report.transfer.outcome]}**

{facts}

## What it is

A logistic model over the words of 48 at a time and their pairs, hashed into a table of
262,144 numbers: no text can be read out of it, but whether a pair of words was learnt can. It says
how far a text is on the way to an attack (1 is one). It can be led past by other words, and it was
taught by those of its data: a language or a trade that these lack it does not know.

    llmops guard check --detector {report.folder} prompt.txt

or, in a policy, `classifier: {{action: block, name: "learnt:{report.folder}"}}`.
`classifier: allow` turns it off.

## Leave one source out

Each source is judged by a stage that was fitted to all the others. All thresholds were chosen on
honest texts of the others, at the same share of false alarms; "shipped rules" keep their own.

{_markdown(HEADS)}
|{rule}|
{rows}
"""


def _rows(report: GuardTrainReport) -> list[list[str]]:
    transfer = report.transfer
    named = [("all", transfer.overall), *transfer.sources.items()]
    return [[name, *_cells(rates)] for name, rates in named]


def _cells(rates: SourceRates) -> list[str]:
    kinds = (rates.shipped, rates.rules, rates.staged)
    return [
        str(rates.staged.n_attack),
        *(_caught(each) for each in kinds),
        str(rates.staged.n_benign),
        *(_alarms(each) for each in kinds),
    ]


def _caught(rates: DetectionRates) -> str:
    return _with_interval(rates.tpr, rates.tpr_ci95)


def _alarms(rates: DetectionRates) -> str:
    return _with_interval(rates.fpr, rates.fpr_ci95)


def _with_interval(share: float | None, interval: tuple[float, float] | None) -> str:
    if share is None or interval is None:
        return MISSING
    low, high = interval
    return f"{share:.1%} ({100 * low:.1f}-{100 * high:.1f})"


def _gain_words(report: GuardTrainReport) -> str:
    transfer = report.transfer
    if transfer.gain is None or transfer.gain_ci95 is None:
        return "no source with attacks could be left out"
    low, high = (100 * bound for bound in transfer.gain_ci95)
    return f"{100 * transfer.gain:+.1f} points of attacks a source ({low:+.1f} to {high:+.1f})"


def _percent(share: float) -> str:
    return f"{share:.2%}"


def _markdown(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |"


SHOW = Show(
    table=lambda report, word, width: train_table(report),
    droppable=DROPPABLE,
    figures=_gain_words,
    page=lambda runs: train_page([run.report for run in runs]),
)
