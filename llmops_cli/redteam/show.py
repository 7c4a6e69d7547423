"""A red-team run and a checklist as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.redteam.gates import decided_of
from llmops_cli.redteam.report import ChecklistItem, FamilyResult, RedteamReport
from llmops_cli.redteam.target import target_title
from llmops_cli.show.tables import Narrowed, add_columns, cell
from llmops_cli.show.words import percent, percent_interval

ALL = "all"
WORDS = ("family", "OWASP")
"""Columns of words; the others have numbers."""
DROPPABLE = (
    "planned",
    "refused",
    "OWASP",
    "undecided",
    "stopped",
    "guard 95 %",
    "decided",
    "succeed",
)
"""Of a run's table, the first first."""
STATES = {True: "yes", False: "MISSING", None: "?"}


def redteam_table(report: RedteamReport) -> Table:
    """One row a family; with a guard its shares stand beside."""
    title = target_title(report.manifest.recipe)
    table = Table(
        title=cell(f"{title}: {counted(report.attempts, 'attempt')} in {report.duration_s:.1f} s"),
        title_justify="left",
    )
    has_guard = report.overall.guarded_asr is not None
    has_stopped = report.overall.blocked is not None
    names = _columns(has_guard=has_guard, has_stopped=has_stopped)
    add_columns(table, names, words=WORDS)
    for name, result in report.families.items():
        cells = _cells(name, result, has_guard=has_guard, has_stopped=has_stopped)
        table.add_row(*cells)
    table.add_section()
    overall = _cells(ALL, report.overall, has_guard=has_guard, has_stopped=has_stopped)
    table.add_row(*overall)
    table.caption = "\n".join(cell(note) for note in _notes(report))
    table.caption_justify = "left"
    return table


def _columns(*, has_guard: bool, has_stopped: bool) -> list[str]:
    names = ["family", "OWASP", "planned", "decided", "succeed", "share", "95 %", "refused"]
    if has_guard:
        names += ["with guard", "guard 95 %"]
    if has_stopped:
        names.append("stopped")
    return [*names, "failed", "undecided"]


def _cells(
    name: str,
    result: FamilyResult,
    *,
    has_guard: bool,
    has_stopped: bool,
) -> list[str]:
    cells = [
        cell(name),
        cell(result.owasp),
        str(result.planned or result.attempts),
        str(decided_of(result)),
        str(result.successes),
        percent(result.asr),
        percent_interval(result.ci95),
        str(result.refused),
    ]
    if has_guard:
        share = percent(result.guarded_asr)
        interval = percent_interval(result.guarded_ci95)
        cells += [share, interval]
    if has_stopped:
        cells.append(str(result.blocked or 0))
    return [*cells, str(result.errors or "-"), str(result.undecided or "-")]


def _notes(report: RedteamReport) -> list[str]:
    notes = []
    twins = report.twins
    if twins is not None:
        note = f"honest questions in the same setting: {twins.refused} of {twins.attempts} refused"
        if twins.blocked is not None:
            note += f", {twins.blocked} stopped by the guard"
        notes.append(note)
    if report.stopped:
        notes.append(f"stopped early: {report.stopped}")
    notes += [f"failed: {count} x {kind}" for kind, count in report.error_kinds.items()]
    notes += [f"undecided: {count} x {kind}" for kind, count in report.undecided_kinds.items()]
    if report.helper_requests:
        requests = counted(report.helper_requests, "request")
        asked = f"{requests}, {counted(report.helper_tokens, 'token')}"
        notes.append(f"attacker and judge model: {asked}")
    if report.parts > 1:
        notes.append(f"figures of all {report.parts} parts of a run that was resumed")
    if report.unreadable_lines:
        torn = counted(report.unreadable_lines, "torn line")
        notes.append(f"{torn} in attempts.jsonl, had again")
    return notes


def checklist_table(items: Sequence[ChecklistItem]) -> Narrowed:
    """One row an item."""
    there = sum(item.ok is True for item in items)
    title = f"{there} of {len(items)} are there"
    table = Table(title=title, title_justify="left")
    for name in ("area", "item", "there", "seen", "advice"):
        table.add_column(name)
    for item in items:
        table.add_row(
            item.area,
            item.name,
            STATES[item.ok],
            cell(item.seen),
            cell(item.advice),
        )
    return Narrowed(table, folds=("item", "seen", "advice"))
