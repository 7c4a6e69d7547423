"""What `llmops report` can do with runs of `prompt optimize`: their tests, case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from rich.table import Table

from llmops_cli.core.errors import UsageError
from llmops_cli.core.stats import share_interval
from llmops_cli.prompt.optimize.page import TITLE, optimize_page
from llmops_cli.prompt.optimize.report import OptimizeReport
from llmops_cli.prompt.optimize.show import DROPPABLE, optimize_table
from llmops_cli.show.gates import JudgedCondition
from llmops_cli.show.paired import NO_FIGURES, PairedColumn, PairedRun
from llmops_cli.show.paired_gate import judge_paired
from llmops_cli.show.paired_tables import compared, require_measure
from llmops_cli.show.plain_exports import markdown_export
from llmops_cli.show.runs import Compared, OpenedRun, Show
from llmops_cli.show.words import percent

PASS_RATE = "pass_rate"
AS_IT_WAS = "as it was"
BEST = "best"


def paired_of(run: OpenedRun) -> PairedRun:
    """Both prompts on its test split, which neither search saw. Raises: UsageError for none."""
    report: OptimizeReport = run.report
    if not report.test_cases:
        raise UsageError(
            f"{run.name} has no test case by case: {report.verdict}",
            hint="a run of this version whose test was done",
        )
    used: dict[str, float | None] = {
        "calls": float(report.calls),
        "tokens": float(report.tokens),
        "cost": report.cost,
    }
    columns = (
        _column(AS_IT_WAS, {each.case.name: each.base for each in report.test_cases}),
        _column(BEST, {each.case.name: each.best for each in report.test_cases}, used),
    )
    return PairedRun(
        name=run.name,
        measure=PASS_RATE,
        columns=columns,
        digests={each.case.name: each.case.digest for each in report.test_cases},
    )


def _held(run: OpenedRun) -> PairedRun:
    """The prompt that its files hold: what a gate is about."""
    both = paired_of(run)
    was, best = both.columns
    column = best if run.report.accepted else was
    held = msgspec.structs.replace(column, figures=best.figures)
    return msgspec.structs.replace(both, columns=(held,))


def _column(
    name: str,
    passed: Mapping[str, bool | None],
    figures: Mapping[str, float | None] = NO_FIGURES,
) -> PairedColumn:
    shares = {case: float(passes) for case, passes in passed.items() if passes is not None}
    decided = len(shares)
    hits = sum(shares.values())
    return PairedColumn(
        parts=(name,),
        shares=shares,
        n=decided,
        errors=len(passed) - decided,
        rate=hits / decided if decided else None,
        ci95=share_interval(hits, decided) if decided else None,
        figures=figures,
    )


def _compare(
    baseline: OpenedRun,
    other: OpenedRun,
    metrics: Sequence[str],
    min_effect: float | None,
) -> Compared:
    require_measure(metrics, (PASS_RATE,))
    found = compared(paired_of(baseline), paired_of(other), min_effect)
    notes = [
        f"{run.name}: its best was not accepted, so its files hold the prompt as it was"
        for run in (baseline, other)
        if not run.report.accepted
    ]
    return msgspec.structs.replace(found, warnings=[*found.warnings, *notes])


def _gate(
    run: OpenedRun,
    baseline: OpenedRun | None,
    conditions: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    before = None if baseline is None else _held(baseline)
    return judge_paired(_held(run), before, conditions, allow_invalid=allow_invalid)


def _table(report: OptimizeReport, word: str, width: int) -> Table:
    return optimize_table(report)


def _listed(report: OptimizeReport) -> dict[str, object]:
    return {"accepted": report.accepted, "calls": report.calls}


def _figures(report: OptimizeReport) -> str:
    word = "accepted" if report.accepted else "not accepted"
    return f"{word}, test {percent(report.base.test)} to {percent(report.best.test)}"


SHOW = Show(
    table=_table,
    listed=_listed,
    figures=_figures,
    droppable=DROPPABLE,
    compare=_compare,
    gate=_gate,
    page=optimize_page,
    exports={"markdown": markdown_export(TITLE)},
)
