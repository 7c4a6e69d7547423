"""An optimization as a table and in words."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from llmops_cli.core.calls import call
from llmops_cli.core.counted import counted
from llmops_cli.core.errors import EngineFailed, GateFailed, Interrupted, LlmopsError
from llmops_cli.core.significance import SURE
from llmops_cli.prompt.optimize.report import OptimizeReport, PromptResult
from llmops_cli.runtime.outcomes import StopReason
from llmops_cli.show.tables import MISSING, add_columns, cell
from llmops_cli.show.words import percent

COLUMNS = ("prompt", "train", "validation", "test", "train - test", "errors")
WORDS = ("prompt",)
DROPPABLE = ("errors", "train - test")


def optimize_table(report: OptimizeReport) -> Table:
    """Base and best by split."""
    table = Table(title=cell(title_of(report)), title_justify="left")
    add_columns(table, COLUMNS, words=WORDS)
    for cells in prompt_rows(report):
        table.add_row(*map(cell, cells))
    table.caption = "\n".join(cell(line) for line in result_lines(report))
    table.caption_justify = "left"
    return table


def prompt_rows(report: OptimizeReport) -> list[list[str]]:
    """The cells of base and best, under COLUMNS."""
    return [_cells("as it was", report.base), _cells(_changes(report.best), report.best)]


def title_of(report: OptimizeReport) -> str:
    word = "accepted" if report.accepted else "not accepted"
    return f"{word}: {report.verdict}"


def _changes(result: PromptResult) -> str:
    return f"best: {', '.join(result.changes)}" if result.changes else "best: no change"


def _cells(name: str, result: PromptResult) -> list[str]:
    overfit = MISSING if result.overfit is None else f"{result.overfit:+.1%}"
    return [
        name,
        percent(result.train),
        percent(result.validation),
        percent(result.test),
        overfit,
        str(result.errors or MISSING),
    ]


def result_lines(report: OptimizeReport) -> list[str]:
    """The test, the anchors and what it took, as sentences."""
    sizes = ", ".join(f"{name} {size}" for name, size in report.splits.items())
    lines = [f"cases: {sizes}"]
    paired = report.paired
    if paired is not None:
        low, high = paired.ci95
        lines.append(
            f"test: {paired.difference:+.1%} ({low:+.0%} to {high:+.0%}), {paired.only_best} won "
            f"and {paired.only_base} lost of {paired.cases:,} cases, one-sided p {_p(paired.p)}"
        )
    if paired is not None and paired.most_p < SURE:
        lines.append(f"another prompt was tested on these cases before: p below {paired.most_p:g}")
    if report.anchors.cases:
        failed = len(report.anchors.regressed)
        lines.append(f"anchors: {failed} of {report.anchors.cases} fail that passed before")
    cost = "" if report.cost is None else f", cost {report.cost:,.4f}"
    proposals = counted(len(report.tried), "proposal")
    calls = f"{report.calls} of {counted(report.budget_calls, 'call')}"
    lines.append(
        f"{proposals} in {counted(report.rounds, 'round')}, {calls}, "
        f"{counted(report.tokens, 'token')}{cost}; search: {report.search_end}"
    )
    if report.stopped:
        lines.append(f"stopped early: {report.stopped}")
    return lines


def _budget_of(stopped: str) -> str:
    """The flag of what was spent."""
    flags = {
        StopReason.REQUESTS: "--budget-calls",
        StopReason.TOKENS: "--token-budget",
        StopReason.MONEY: "--money-budget",
    }
    return flags[StopReason(stopped)]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def error_of(report: OptimizeReport, folder: Path) -> LlmopsError | None:
    """What the command ends with; a prompt that is not accepted is a result."""
    again = call("prompt", "optimize", "--resume", folder)
    if report.stopped == StopReason.INTERRUPTED:
        return Interrupted(f"interrupted; {again} goes on")
    base = report.base
    if report.stopped and (base.test is None or not report.tried):
        what = "proven"
        if base.train is None and base.validation is None:
            what = "measured"
        hint = f"{again}, with more: {_budget_of(report.stopped)}"
        return GateFailed(f"nothing was {what}: {report.stopped}", hint=hint)
    if base.test is None:
        hint = f"check --url and --model; {again} asks again"
        return EngineFailed(report.verdict, hint=hint)
    return None
