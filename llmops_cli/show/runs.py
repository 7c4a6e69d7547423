"""Saved runs of any command, and what `llmops report` can do with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec
from rich.table import Table

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.names import load_object
from llmops_cli.core.report import Report, family
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.runs import load_report
from llmops_cli.show.gates import JudgedCondition
from llmops_cli.show.tables import MISSING, Narrowed, add_columns, cell

SHOWS = {
    "llmops.bench": "llmops_cli.bench.show:SHOW",
    "llmops.guard-eval": "llmops_cli.guard.evaluation.show:SHOW",
    "llmops.guard-train": "llmops_cli.guard.learnt.show:SHOW",
    "llmops.moderation-train": "llmops_cli.guard.moderation.show:SHOW",
    "llmops.convert": "llmops_cli.convert.show:SHOW",
    "llmops.prompt-run": "llmops_cli.prompt.technique_run.saved_runs:SHOW",
    "llmops.plan": "llmops_cli.plan.saved:SHOW",
    "llmops.generate": "llmops_cli.generate.show:SHOW",
    "llmops.prompt-eval": "llmops_cli.prompt.evals.saved_runs:SHOW",
    "llmops.prompt-optimize": "llmops_cli.prompt.optimize.saved_runs:SHOW",
    "llmops.quantize": "llmops_cli.quantize.show:SHOW",
    "llmops.redteam": "llmops_cli.redteam.saved_runs:SHOW",
    "llmops.train": "llmops_cli.train.show:SHOW",
    "llmops.run": "llmops_cli.pipeline.show:SHOW",
}
"""Schema without its number -> "module:object" of its Show."""
FORMS = ("markdown", "junit", "sarif", "openmetrics", "csv", "parquet")
"""What some command's runs can be exported as, and not every one's."""
PAGE = "report.html"
PAGE_OF_SEVERAL = "runs.html"
LIST_DROPPABLE = ("on", "tok/s", "model", "figures", "kind", "when")
"""A folder stays whole, for it is to be copied, and has kind and date in its name."""
LIST_FOLDS = ("figures",)
LISTED = ("when", "kind", "model", "on", "tok/s", "figures", "state", "folder")
LISTED_WORDS = ("when", "kind", "model", "on", "figures", "state", "folder")


class OpenedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A saved run.

    `name` is how the user called it; `word` says what is special, such as partial.
    """

    name: str
    path: Path
    report: Any  # Any: each command has its own
    word: str = ""


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A run against another: `result` is what --json prints.

    `droppable`: columns of the table that a narrow terminal can do without, the first first.
    """

    result: object
    table: Table
    markdown: str
    droppable: Sequence[str] = ()
    warnings: Sequence[str] = ()


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A run for another tool: as text, or as a file where the format is no text."""

    text: Callable[[OpenedRun], str] | None = None
    save: Callable[[OpenedRun, Path], None] | None = None


Reread = Callable[[Path, Any], tuple[Report, str]]  # Any: each command has its own report
Compare = Callable[[OpenedRun, OpenedRun, Sequence[str], float | None], Compared]
PageMaker = Callable[[Sequence[OpenedRun]], str]


class Gate(Protocol):
    def __call__(
        self,
        run: OpenedRun,
        baseline: OpenedRun | None,
        conditions: Sequence[str],
        *,
        allow_invalid: bool,
    ) -> list[JudgedCondition]: ...


class Show(msgspec.Struct, frozen=True, kw_only=True):
    """What `llmops report` can do with one command's runs; None is what it cannot.

    table(report, word, width): `word` says what is special, such as partial.
    droppable: columns of the table that a narrow terminal can do without, the first first.
    replaced: a column -> those that a narrow terminal can then do without as well, last of all.
    listed(report): its own fields in the list of a folder; figures(report): the best, in words.
    reread(folder, report): the report as it stands, and a word on it, where a run that was killed
    left more than its report says.
    compare(baseline, run, metrics, smallest effect as a share).
    gate(run, baseline, conditions, allow_invalid): what became of each condition.
    page(runs): one HTML file, richer than the table that every run has as a page.
    exports: beside the table as Markdown, which every run has too.
    """

    table: Callable[[Any, str, int], Table]  # Any: each command has its own report
    droppable: Sequence[str] = ()
    replaced: Mapping[str, Sequence[str]] = {}
    listed: Callable[[Any], dict[str, object]] = lambda report: {}
    figures: Callable[[Any], str] = lambda report: ""
    reread: Reread | None = None
    compare: Compare | None = None
    gate: Gate | None = None
    page: PageMaker | None = None
    exports: Mapping[str, Export] = {}


def show_of(report: Report) -> Show:
    """The one that knows this report."""
    place = SHOWS[family(report.schema)]
    return cast(Show, load_object(place))


def open_run(place: Path) -> OpenedRun:
    """A run folder, or the report in one. Raises: UsageError for what is no run."""
    folder = place if place.is_dir() else place.parent
    report = load_report(place)
    reread = show_of(report).reread
    if reread is not None:
        report, word = reread(folder, report)
    else:
        word = ""
        if not report.manifest.complete:
            word = "partial"
    return OpenedRun(name=str(place), path=folder, report=report, word=word)


def compare_runs(
    baseline: OpenedRun,
    other: OpenedRun,
    *,
    metrics: Sequence[str],
    min_effect: float | None,
) -> Compared:
    """Raises: UsageError for runs of two commands, or of one that cannot be compared."""
    _check_same(baseline, other)
    compare = show_of(baseline.report).compare
    if compare is None:
        raise _cannot("compare", baseline)
    return compare(baseline, other, metrics, min_effect)


def judge_run(
    run: OpenedRun,
    baseline: OpenedRun | None,
    conditions: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    """Every condition. Raises: UsageError for one that the run's command does not know."""
    gate = show_of(run.report).gate
    if gate is None:
        raise _cannot("gate", run)
    if baseline is not None:
        _check_same(run, baseline)
    return gate(run, baseline, conditions, allow_invalid=allow_invalid)


def page_of(runs: Sequence[OpenedRun]) -> str:
    """One page of runs of one command. Raises: UsageError for others."""
    from llmops_cli.show.plain_exports import plain_pages

    page = show_of(runs[0].report).page or plain_pages(f"llmops {_kind(runs[0])}")
    for run in runs[1:]:
        _check_same(runs[0], run)
    return page(runs)


def leave_page(folder: Path) -> Path:
    """The page of the run in this folder, beside its report; where it is."""
    target = folder / PAGE
    page = page_of([open_run(folder)])
    write_atomic(target, page.encode("utf-8", "backslashreplace"))
    return target


def export_of(run: OpenedRun, form: str) -> Export:
    """Raises: UsageError for a form that the run's command does not have."""
    from llmops_cli.show.plain_exports import markdown_export

    plain = {"markdown": markdown_export(f"llmops {_kind(run)}")}
    exports = {**plain, **show_of(run.report).exports}
    if form in FORMS and form not in exports:
        others = ", ".join(sorted(exports))
        raise UsageError(f"a run of {_kind(run)} has no {form}", hint=f"it has: {others}")
    if form not in exports:
        raise unknown_name("format", form, exports)
    return exports[form]


def _check_same(run: OpenedRun, other: OpenedRun) -> None:
    if _kind(run) != _kind(other):
        raise UsageError(
            f"{run.name} is a run of {_kind(run)}, {other.name} of {_kind(other)}",
            hint="give runs of one command",
        )


def _cannot(verb: str, run: OpenedRun) -> UsageError:
    return UsageError(
        f"{run.name} is a run of {_kind(run)}, which `report {verb}` has nothing for",
        hint="llmops report show reads it",
    )


def _kind(run: OpenedRun) -> str:
    schema = family(run.report.schema)
    return schema.removeprefix("llmops.")


def table_of(
    report: Report,
    *,
    word: str = "",
    width: int = 180,
) -> Narrowed:
    """Any report."""
    shown = show_of(report)
    table = shown.table(report, word, width)
    droppable = list(shown.droppable)
    for column in table.columns:
        droppable += shown.replaced.get(str(column.header), ())
    return Narrowed(table, droppable=droppable)


def export_table(run: OpenedRun, width: int) -> Table:
    """The whole table of a run, no column dropped."""
    return show_of(run.report).table(run.report, run.word, width)


def run_list(runs: Sequence[OpenedRun]) -> list[dict[str, object]]:
    """Rows for --json."""
    rows = []
    for run in runs:
        report = run.report
        manifest = report.manifest
        row: dict[str, object] = {
            "folder": str(run.path),
            "kind": _kind(run),
            "when": manifest.started_at,
            "state": run.word,
            "model": manifest.recipe.get("model"),
        }
        row |= show_of(report).listed(report)
        rows.append(row)
    return rows


def run_list_table(runs: Sequence[OpenedRun]) -> Narrowed:
    """The same for people."""
    table = Table()
    add_columns(table, LISTED, words=LISTED_WORDS)
    for run, row in zip(runs, run_list(runs), strict=True):
        figures = show_of(run.report).figures(run.report)
        table.add_row(*_cells(row, figures))
    return Narrowed(table, droppable=LIST_DROPPABLE, folds=LIST_FOLDS)


def _cells(row: dict[str, object], figures: str) -> list[str]:
    unsound = ""
    if not row.get("valid", True):
        unsound = "[bold red]INVALID[/]"
    return [
        str(row["when"])[:19],
        str(row["kind"]),
        cell(str(row["model"] or MISSING)),
        cell(str(row.get("backend") or MISSING)),
        _speed(row),
        figures or MISSING,
        str(row["state"]) or unsound,
        cell(str(row["folder"])),
    ]


def _speed(row: Mapping[str, object]) -> str:
    """Of the best level of a load, or of training."""
    for name in ("best_output_tokens_per_s", "tokens_per_s"):
        value = row.get(name)
        if isinstance(value, float):
            return f"{value:,.0f}"
    return MISSING
