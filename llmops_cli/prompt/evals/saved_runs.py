"""What `llmops report` can do with runs of `prompt eval`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.evals.answers import AnswerRow
from llmops_cli.prompt.evals.export import eval_csv, eval_junit
from llmops_cli.prompt.evals.outcome import EvalOutcome
from llmops_cli.prompt.evals.page import eval_page
from llmops_cli.prompt.evals.report import EvalCell, EvalReport
from llmops_cli.prompt.evals.show import DROPPABLE, eval_table
from llmops_cli.runtime.outcomes import read_outcomes
from llmops_cli.show.gates import JudgedCondition
from llmops_cli.show.paired import PairedColumn, PairedRun
from llmops_cli.show.paired_gate import judge_paired
from llmops_cli.show.paired_tables import compared, require_measure
from llmops_cli.show.plain_exports import markdown_export, plain_pages
from llmops_cli.show.runs import Compared, Export, OpenedRun, Show
from llmops_cli.show.words import percent

OUTCOMES = "outcomes.jsonl"
PASS_RATE = "pass_rate"
TITLE = "llmops prompt eval"


def saved_rows(run: OpenedRun) -> list[AnswerRow]:
    """Every answer of the run's folder, in the order of cases. Raises: UsageError for none."""
    report: EvalReport = run.report
    path = run.path / OUTCOMES
    if not report.named_cases or not path.is_file():
        raise UsageError(
            f"{run.name} does not tell its cases one by one",
            hint="the whole folder of a run of this version",
        )
    found = read_outcomes(path, EvalOutcome).outcomes
    rows = [_row(report, outcome) for outcome in found.values()]
    return sorted(rows, key=lambda row: (row.case, row.prompt, row.model, row.repeat))


def _row(report: EvalReport, outcome: EvalOutcome) -> AnswerRow:
    """Tasks are numbered by model, then repeat, case and prompt."""
    prompts = _names(report, "prompt")
    models = _names(report, "model")
    rest, prompt = divmod(outcome.number, len(prompts))
    rest, case = divmod(rest, report.cases)
    model, repeat = divmod(rest, report.repeats)
    if model >= len(models):
        raise UsageError(f"{OUTCOMES} has an answer {outcome.number} of no case of its report")
    return AnswerRow(
        prompt=prompts[prompt],
        model=models[model],
        case=case,
        title=report.named_cases[case].name,
        repeat=repeat,
        variables={},
        outcome=outcome,
    )


def _names(report: EvalReport, part: str) -> list[str]:
    return list(dict.fromkeys(getattr(cell, part) for cell in report.cells))


def paired_of(run: OpenedRun) -> PairedRun:
    """Its cells case by case. Raises: UsageError for a folder without its answers."""
    report: EvalReport = run.report
    passed: dict[tuple[str, str], dict[str, list[bool]]] = {}
    for row in saved_rows(run):
        if row.outcome.is_decided:
            of_cell = passed.setdefault((row.prompt, row.model), {})
            of_cell.setdefault(row.title, []).append(row.outcome.passed)
    columns = [_column(cell, passed.get((cell.prompt, cell.model), {})) for cell in report.cells]
    return PairedRun(
        name=run.name,
        measure=PASS_RATE,
        columns=tuple(columns),
        digests={each.name: each.digest for each in report.named_cases},
        stopped=report.stopped or "",
    )


def _column(cell: EvalCell, passed: Mapping[str, Sequence[bool]]) -> PairedColumn:
    return PairedColumn(
        parts=(cell.prompt, cell.model),
        shares={name: sum(each) / len(each) for name, each in passed.items()},
        n=cell.n,
        errors=cell.errors,
        rate=cell.pass_rate,
        ci95=cell.ci95,
        figures={
            "tokens": float(cell.tokens),
            "cost": cell.cost,
            "latency_ms": cell.latency_p50_ms,
        },
    )


def _compare(
    baseline: OpenedRun,
    other: OpenedRun,
    metrics: Sequence[str],
    min_effect: float | None,
) -> Compared:
    require_measure(metrics, (PASS_RATE,))
    return compared(paired_of(baseline), paired_of(other), min_effect)


def _gate(
    run: OpenedRun,
    baseline: OpenedRun | None,
    conditions: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    before = None if baseline is None else paired_of(baseline)
    return judge_paired(paired_of(run), before, conditions, allow_invalid=allow_invalid)


def _page(runs: Sequence[OpenedRun]) -> str:
    """Of one run with its answers, of several the matrices."""
    if len(runs) > 1:
        return plain_pages(TITLE)(runs)
    return eval_page(runs[0].report, saved_rows(runs[0]))


def _table(report: EvalReport, word: str, width: int) -> Table:
    return eval_table(report)


def _listed(report: EvalReport) -> dict[str, object]:
    recipe = report.manifest.recipe
    return {
        "model": ", ".join(_names(report, "model")),
        "backend": recipe.get("url") or recipe.get("backend"),
        "cases": report.cases,
        "cells": len(report.cells),
    }


def _figures(report: EvalReport) -> str:
    best = max(report.cells, key=lambda each: each.pass_rate or 0.0)
    return f"{counted(len(report.cells), 'cell')}, best {percent(best.pass_rate)}"


SHOW = Show(
    table=_table,
    listed=_listed,
    figures=_figures,
    droppable=DROPPABLE,
    compare=_compare,
    gate=_gate,
    page=_page,
    exports={
        "markdown": markdown_export(TITLE),
        "csv": Export(text=lambda run: eval_csv(saved_rows(run))),
        "junit": Export(text=lambda run: eval_junit(saved_rows(run))),
    },
)
