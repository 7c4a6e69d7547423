"""What `llmops report` can do with red-team runs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from llmops_cli.core.calls import call
from llmops_cli.core.conditions import Condition
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.redteam.compare import compare, comparison_table
from llmops_cli.redteam.conditions import ASR, PlannedShares, possible_condition_of
from llmops_cli.redteam.export import redteam_csv, redteam_junit
from llmops_cli.redteam.gates import RedteamProblem, decided_of, interval_words, problem_of
from llmops_cli.redteam.page import redteam_page
from llmops_cli.redteam.report import RedteamReport
from llmops_cli.redteam.sarif import read_successes, redteam_sarif
from llmops_cli.redteam.show import DROPPABLE, redteam_table
from llmops_cli.redteam.target import target_host
from llmops_cli.show.gates import ConditionOutcome, JudgedCondition
from llmops_cli.show.plain_exports import markdown_export, plain_pages, table_markdown
from llmops_cli.show.runs import Compared, Export, OpenedRun, Show

TITLE = "llmops redteam"
OUTCOMES = {
    RedteamProblem.CONDITION_HOLDS: ConditionOutcome.FAILED,
    RedteamProblem.UNDECIDED: ConditionOutcome.UNKNOWN,
}
EVERY = "all attempts"


def _compare(
    baseline: OpenedRun,
    other: OpenedRun,
    metrics: Sequence[str],
    min_effect: float | None,
) -> Compared:
    """Raises: UsageError for another metric, or a smallest effect."""
    for metric in metrics:
        if metric != ASR:
            raise unknown_name("metric", metric, [ASR])
    if min_effect is not None:
        raise UsageError("families are called worse beyond chance alone: no --min-effect")
    table = comparison_table(baseline.report, other.report)
    title = f"{other.name} against {baseline.name}"
    return Compared(
        result=compare(baseline.report, other.report),
        table=table,
        markdown=table_markdown(table, title=title),
    )


def _gate(
    run: OpenedRun,
    baseline: OpenedRun | None,
    conditions: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    """As `llmops redteam --fail-if`. Raises: UsageError for a condition that can never hold."""
    if baseline is not None:
        raise UsageError(
            "conditions of a red-team run are about itself",
            hint=call("redteam", "compare", baseline.name, run.name),
        )
    report: RedteamReport = run.report
    planned = PlannedShares(
        families={name: each.planned or each.attempts for name, each in report.families.items()},
        has_guard=report.overall.guarded_asr is not None,
    )
    found = [possible_condition_of(text, planned) for text in conditions]
    undecided = 1.0 if allow_invalid else 0.0
    return [_judged(report, condition, allow_undecided=undecided) for condition in found]


def _judged(
    report: RedteamReport,
    condition: Condition,
    *,
    allow_undecided: float,
) -> JudgedCondition:
    problem = problem_of(report, condition, allow_undecided)
    outcome = ConditionOutcome.PASSED
    text = interval_words(report, condition)
    if problem is not None:
        outcome = OUTCOMES[RedteamProblem(problem.kind)]
        text = problem.text.removeprefix(f"{condition.text}: ")
    return JudgedCondition(
        condition=condition.text,
        load=condition.part or EVERY,
        outcome=outcome,
        text=text,
    )


def _sarif(run: OpenedRun) -> str:
    successes = read_successes(run.path, run.report)
    return redteam_sarif(run.report, successes).decode()


def _table(
    report: RedteamReport,
    word: str,
    width: int,
) -> Table:
    return redteam_table(report)


def _listed(report: RedteamReport) -> dict[str, object]:
    """Where the model answered, and what came out."""
    recipe = report.manifest.recipe
    return {
        "backend": target_host(recipe) or recipe.get("backend"),
        "asr": report.overall.asr,
        "decided": decided_of(report.overall),
    }


def _figures(report: RedteamReport) -> str:
    overall = report.overall
    return f"{overall.successes} of {decided_of(overall)} succeed"


def _page(runs: Sequence[OpenedRun]) -> str:
    """A run's own page; of several a table each."""
    if len(runs) == 1:
        return redteam_page(runs[0].report)
    return plain_pages(TITLE)(runs)


SHOW = Show(
    table=_table,
    droppable=DROPPABLE,
    listed=_listed,
    figures=_figures,
    page=_page,
    compare=_compare,
    gate=_gate,
    exports={
        "markdown": markdown_export(TITLE),
        "csv": Export(text=lambda run: redteam_csv(run.report)),
        "junit": Export(text=lambda run: redteam_junit(run.report)),
        "sarif": Export(text=_sarif),
    },
)
