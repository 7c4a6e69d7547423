"""What `llmops report` can do with runs of `guard eval`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.guard.evaluation.compare import RIGHT, paired_of
from llmops_cli.guard.evaluation.gates import judge_rates
from llmops_cli.guard.evaluation.rates import DetectionRates
from llmops_cli.guard.evaluation.report import GuardEvalReport, WrongVerdict
from llmops_cli.show.page import html_facts, html_row, html_table, plain_page
from llmops_cli.show.paired_tables import compared, require_measure
from llmops_cli.show.runs import Compared, OpenedRun, Show
from llmops_cli.show.tables import MISSING, add_columns, cell
from llmops_cli.show.words import percent

TITLE = "llmops guard eval"
HEADS = (
    "",
    "attacks",
    "caught",
    "caught 95 %",
    "honest",
    "false alarms",
    "false alarms 95 %",
)
DROPPABLE = ("honest", "attacks", "false alarms 95 %", "caught 95 %")
WRONG_HEADS = ("row", "label", "family", "source", "evidence (1 is an attack)", "strongest rule")


def rates_table(report: GuardEvalReport) -> Table:
    """Overall, then families, then sources."""
    table = Table(title=cell(_title(report)), title_justify="left", caption_justify="left")
    add_columns(table, HEADS, words=("",))
    for name, rates, is_first in _sections(report):
        if is_first:
            table.add_section()
        table.add_row(*(cell(text) for text in [name, *_cells(rates)]))
    spent = report.us_per_kb
    table.caption = f"us per KB of text: {spent.p50:g} p50, {spent.p95:g} p95"
    return table


def _title(report: GuardEvalReport) -> str:
    recipe = report.manifest.recipe
    return f"{TITLE}: {recipe['data']}, {counted(report.rows, 'text')} of role {recipe['role']}"


def _sections(report: GuardEvalReport) -> list[tuple[str, DetectionRates, bool]]:
    """Names with their rates, and whether a section begins there."""
    found = [("all", report.overall, False)]
    for kind, groups in (("family", report.families), ("source", report.sources)):
        named = [(f"{kind} {name}", rates) for name, rates in groups.items()]
        found += [(name, rates, place == 0) for place, (name, rates) in enumerate(named)]
    return found


def _cells(rates: DetectionRates) -> list[str]:
    return [
        str(rates.n_attack),
        percent(rates.tpr),
        _interval(rates.tpr_ci95),
        str(rates.n_benign),
        percent(rates.fpr),
        _interval(rates.fpr_ci95),
    ]


def _interval(interval: tuple[float, float] | None) -> str:
    """With a decimal: shares of false alarms are told apart below one percent."""
    if interval is None:
        return MISSING
    low, high = interval
    return f"{low:.1%} to {high:.1%}"


def _facts(report: GuardEvalReport) -> dict[str, str]:
    recipe = report.manifest.recipe
    per_kb = report.us_per_kb
    per_text = report.us_per_text
    return {
        "texts": f"{report.rows:,}",
        "role": str(recipe["role"]),
        "policy": str(recipe["policy"] or "the toolkit's own"),
        "learnt stage": str(recipe["detector"] or "the policy's"),
        "us per KB": f"{per_kb.p50:g} p50, {per_kb.p95:g} p95",
        "us per text": f"{per_text.p50:g} p50, {per_text.p95:g} p95",
        "data": report.manifest.digests.get("data", MISSING),
        "machine": str(report.manifest.hardware.get("cpu_model", MISSING)),
        "measured": report.manifest.started_at,
    }


def _page(runs: Sequence[OpenedRun]) -> str:
    """A section a run: rates, and where the wrong verdicts are."""
    parts = [f"<h1>{TITLE}</h1>"]
    for run in runs:
        report: GuardEvalReport = run.report
        parts.append(f"<h2>{escape(_title(report))}</h2>")
        parts.append(html_facts(_facts(report)))
        sections = [[name, *_cells(rates)] for name, rates, _ in _sections(report)]
        parts.append(_html_rows(HEADS, sections))
        parts.append(_wrong_html(report.wrong))
    titles = ", ".join(_title(run.report) for run in runs)
    return plain_page(title=titles, body="".join(parts))


def _wrong_html(wrong: Sequence[WrongVerdict]) -> str:
    if not wrong:
        return "<p>No text was misjudged.</p>"
    rows = [
        [
            str(each.row),
            each.label,
            each.family,
            each.source,
            f"{each.score:g}",
            each.rule or MISSING,
        ]
        for each in wrong
    ]
    return (
        "<h3>Misjudged, the worst of each label</h3>"
        "<p>Rows of the data, from 1; every verdict is in verdicts.jsonl. "
        "<code>llmops guard explain</code> says what was seen in a text.</p>"
        + _html_rows(WRONG_HEADS, rows)
    )


def _html_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [html_row([escape(text) for text in row]) for row in rows]
    return html_table(list(heads), lines)


def _listed(report: GuardEvalReport) -> dict[str, object]:
    return {"texts": report.rows, "tpr": report.overall.tpr, "fpr": report.overall.fpr}


def _figures(report: GuardEvalReport) -> str:
    overall = report.overall
    return f"{percent(overall.tpr)} caught, {percent(overall.fpr)} false alarms"


def _compare(
    baseline: OpenedRun,
    other: OpenedRun,
    metrics: Sequence[str],
    min_effect: float | None,
) -> Compared:
    require_measure(metrics, (RIGHT,))
    return compared(paired_of(baseline), paired_of(other), min_effect)


SHOW = Show(
    table=lambda report, word, width: rates_table(report),
    droppable=DROPPABLE,
    listed=_listed,
    figures=_figures,
    compare=_compare,
    gate=judge_rates,
    page=_page,
)
