"""What `llmops report` can do with runs of `prompt run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.technique_run.kept import OUTCOMES
from llmops_cli.prompt.technique_run.outcome import QuestionOutcome
from llmops_cli.prompt.technique_run.report import PromptRunReport, TechniqueResult
from llmops_cli.prompt.technique_run.show import DROPPABLE, run_table
from llmops_cli.runtime.outcomes import read_outcomes
from llmops_cli.show.gates import JudgedCondition
from llmops_cli.show.paired import PairedColumn, PairedRun
from llmops_cli.show.paired_gate import judge_paired
from llmops_cli.show.paired_tables import compared, require_measure
from llmops_cli.show.plain_exports import markdown_export, plain_pages
from llmops_cli.show.runs import Compared, OpenedRun, Show
from llmops_cli.show.words import percent

LENIENT = "lenient"
READINGS = (LENIENT, "strict")
TITLE = "llmops prompt run"


def paired_of(run: OpenedRun, reading: str) -> PairedRun:
    """Its techniques question by question. Raises: UsageError where no answers are known."""
    report: PromptRunReport = run.report
    path = run.path / OUTCOMES
    has_answers = any(getattr(each, reading) is not None for each in report.techniques.values())
    if not report.named_cases or not path.is_file() or not has_answers:
        raise UsageError(
            f"{run.name} has no questions with known answers",
            hint="the whole folder of a run over --cases with answers",
        )
    shares: dict[str, dict[str, float]] = {}
    for outcome in read_outcomes(path, QuestionOutcome).outcomes.values():
        is_right = getattr(outcome, reading)
        if is_right is not None and outcome.case < len(report.named_cases):
            name = report.named_cases[outcome.case].name
            shares.setdefault(outcome.technique, {})[name] = float(is_right)
    columns = [
        _column(name, result, shares.get(name, {}), reading)
        for name, result in report.techniques.items()
    ]
    return PairedRun(
        name=run.name,
        measure=reading,
        columns=tuple(columns),
        digests={each.name: each.digest for each in report.named_cases},
        stopped=report.stopped or "",
    )


def _column(
    name: str,
    result: TechniqueResult,
    shares: Mapping[str, float],
    reading: str,
) -> PairedColumn:
    score = getattr(result, reading)
    return PairedColumn(
        parts=(name,),
        shares=shares,
        n=len(shares),
        errors=sum(result.errors.values()),
        rate=None if score is None else score.share,
        ci95=None if score is None else score.ci95,
        figures={
            "calls": float(result.calls),
            "tokens": float(result.input_tokens + result.output_tokens),
            "cost": result.cost,
        },
    )


def _compare(
    baseline: OpenedRun,
    other: OpenedRun,
    metrics: Sequence[str],
    min_effect: float | None,
) -> Compared:
    reading = require_measure(metrics, READINGS)
    return compared(paired_of(baseline, reading), paired_of(other, reading), min_effect)


def _gate(
    run: OpenedRun,
    baseline: OpenedRun | None,
    conditions: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    """By the lenient reading."""
    before = None if baseline is None else paired_of(baseline, LENIENT)
    current = paired_of(run, LENIENT)
    return judge_paired(current, before, conditions, allow_invalid=allow_invalid)


def _table(report: PromptRunReport, word: str, width: int) -> Table:
    return run_table(report)


def _listed(report: PromptRunReport) -> dict[str, object]:
    recipe: Mapping[str, object] = report.manifest.recipe
    return {
        "backend": recipe.get("url") or recipe.get("backend"),
        "techniques": list(report.techniques),
        "calls": report.calls,
    }


def _figures(report: PromptRunReport) -> str:
    parts = []
    for name, result in report.techniques.items():
        share = (
            percent(result.lenient.share) if result.lenient else counted(result.answered, "answer")
        )
        parts.append(f"{name} {share}")
    return ", ".join(parts)


SHOW = Show(
    table=_table,
    droppable=DROPPABLE,
    listed=_listed,
    figures=_figures,
    compare=_compare,
    gate=_gate,
    page=plain_pages(TITLE),
    exports={"markdown": markdown_export(TITLE)},
)
