"""A batch, or what one would take, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from rich.table import Table

from llmops_cli.generate.compare import ANSWERED, paired_of
from llmops_cli.generate.compare_table import compared_rows
from llmops_cli.generate.gates import ALL, condition_of, judged_of
from llmops_cli.generate.recipe import GenerateRecipe
from llmops_cli.generate.report import Forecast, GenerateReport
from llmops_cli.show.gates import ConditionOutcome, JudgedCondition
from llmops_cli.show.paired_gate import judge_paired
from llmops_cli.show.paired_tables import require_measure
from llmops_cli.show.plain_exports import markdown_export, plain_pages
from llmops_cli.show.runs import Compared, OpenedRun, Show
from llmops_cli.show.tables import MISSING, cell, number

TITLE = "llmops generate"


def generate_table(report: GenerateReport) -> Table:
    """Rows, tokens, money and time."""
    kinds = [f"{count:,} {kind}" for kind, count in report.error_kinds.items()]
    facts = {
        "rows": f"{report.rows:,}",
        "answered": f"{report.answered:,}",
        "failed": f"{report.failed:,}" + (f" ({', '.join(kinds)})" if kinds else ""),
        "not asked": f"{report.not_asked:,}",
        "answered before": f"{report.answered_before:,}",
        "tokens": f"{report.input_tokens:,} in, {report.output_tokens:,} out",
        "cost": number(report.cost, 4),
        "requests": f"{report.requests:,}",
        "seconds": number(report.duration_s, 1),
        "rows/s": number(report.rows_per_s, 1),
        "latency s": f"{number(report.latency_p50_s)} p50, {number(report.latency_p95_s)} p95",
        "stopped by": report.stopped or MISSING,
    }
    return _table(f"{report.manifest.recipe['input']} -> {report.output}", facts)


def forecast_table(forecast: Forecast) -> Table:
    """What a run would take."""
    forms = ", ".join(f"{count:,} {form}" for form, count in forecast.forms.items())
    output_tokens = MISSING
    if forecast.output_tokens is not None:
        output_tokens = f"at most {forecast.output_tokens:,}"
    cost = MISSING
    if forecast.cost is not None:
        cost = f"at most {forecast.cost:,.4f}"
    facts = {
        "rows": f"{forecast.rows:,} ({forms})",
        "answered before": f"{forecast.answered_before:,}",
        "input tokens": f"about {forecast.input_tokens:,}",
        "output tokens": output_tokens,
        "cost": cost,
        "seconds": number(forecast.duration_s, 0),
    }
    return _table("planned", facts)


def _table(title: str, facts: Mapping[str, str]) -> Table:
    table = Table(title=cell(title), title_justify="left", show_header=False)
    table.add_column("name")
    table.add_column("what it is", overflow="fold")
    for name, text in facts.items():
        table.add_row(name, cell(text))
    return table


def _figures(report: GenerateReport) -> str:
    return f"{report.answered:,} of {report.rows:,} rows answered"


def _compare(
    baseline: OpenedRun,
    other: OpenedRun,
    metrics: Sequence[str],
    min_effect: float | None,
) -> Compared:
    require_measure(metrics, (ANSWERED,))
    return compared_rows(baseline, other, min_effect)


def _gate(
    run: OpenedRun,
    baseline: OpenedRun | None,
    conditions: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    """As `--fail-if` of the command, or row by row against a baseline.

    A batch that was stopped is judged where that is allowed.
    """
    if baseline is not None:
        return judge_paired(
            paired_of(run), paired_of(baseline), conditions, allow_invalid=allow_invalid
        )
    report: GenerateReport = run.report
    recipe = msgspec.convert(report.manifest.recipe, GenerateRecipe)
    judged = [judged_of(report, condition_of(text, recipe)) for text in conditions]
    if report.not_asked and not allow_invalid:
        doubt = JudgedCondition(
            condition="complete",
            load=ALL,
            outcome=ConditionOutcome.UNKNOWN,
            text=f"{report.not_asked:,} of {report.rows:,} rows were not asked",
            asked=False,
        )
        return [doubt, *judged]
    return judged


def _listed(report: GenerateReport) -> dict[str, object]:
    recipe = report.manifest.recipe
    return {
        "backend": recipe.get("url") or recipe.get("backend"),
        "rows": report.rows,
        "answered": report.answered,
        "cost": report.cost,
    }


SHOW = Show(
    table=lambda report, word, width: generate_table(report),
    figures=_figures,
    listed=_listed,
    compare=_compare,
    gate=_gate,
    page=plain_pages(TITLE),
    exports={"markdown": markdown_export(TITLE)},
)
