"""`llmops report`: look at saved runs, compare them, and fail a build on a regression."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from llmops_cli.cli.values import CommandLine
from llmops_cli.core.calls import call

group = CommandLine(
    help="Show, compare, export and gate saved runs.",
)


RATINGS = ".jsonl"
"""How the file of users' scores ends; no run's does."""


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="report")


@group.command()
def show(
    runs: list[Path] = typer.Argument(help="Run folders, or report.json files."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the reports on stdout and nothing else."
    ),
) -> None:
    """Print runs as tables; one that was killed is read from what it had written."""
    from llmops_cli.cli.screen import print_json, print_table, width_of
    from llmops_cli.show.runs import open_run, table_of

    opened = [open_run(path) for path in runs]
    if as_json:
        reports = [run.report for run in opened]
        print_json(_one_or_all(reports))
        return
    width = width_of(sys.stdout)
    for run in opened:
        table = table_of(run.report, word=run.word, width=width)
        print_table(table)


def _one_or_all(found: Sequence[object]) -> object:
    """A single one stands by itself, without a list around it."""
    if len(found) == 1:
        return found[0]
    return found


@group.command("list")
def list_(
    folder: Path = typer.Argument(Path("results"), help="Where run folders lie."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the list on stdout and nothing else."
    ),
) -> None:
    """List the runs in a folder, oldest first."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.core.errors import LlmopsError, UsageError
    from llmops_cli.show.runs import open_run, run_list, run_list_table

    if not folder.is_dir():
        raise UsageError(f"no folder {folder}", hint="llmops report list PATH")
    found = []
    for path in sorted(folder.glob("**/report.json")):
        try:
            found.append(open_run(path.parent))
        except LlmopsError as error:
            say(f"{path}: {error.message}")
        except OSError as error:
            say(f"{path}: {error.strerror}")
    found.sort(key=lambda run: run.report.manifest.started_at)
    if as_json:
        print_json(run_list(found))
    elif found:
        print_table(run_list_table(found))
    else:
        say(f"no runs in {folder}")


@group.command()
def html(
    runs: list[Path] = typer.Argument(help="Run folders; several share one page."),
    output: Path = typer.Option(
        None,
        "-o",
        "--output",
        help="The file.  [default: report.html in the run; runs.html in the first of several]",
    ),
) -> None:
    """Write a self-contained page with interactive plots."""
    from llmops_cli.cli.screen import say
    from llmops_cli.runtime.files import write_atomic
    from llmops_cli.show.runs import PAGE, PAGE_OF_SEVERAL, open_run, page_of

    opened = [open_run(path) for path in runs]
    name = PAGE if len(opened) == 1 else PAGE_OF_SEVERAL
    target = output or opened[0].path / name
    write_atomic(target, page_of(opened).encode("utf-8", "backslashreplace"))
    say(f"page: {target}")


@group.command()
def export(
    run: Path = typer.Argument(help="A run folder."),
    format_: str = typer.Option(
        "markdown", "--format", help="markdown, junit, sarif, openmetrics, csv or parquet."
    ),
    output: Path = typer.Option(
        None, "-o", "--output", help="The file.  [default: stdout; csv and parquet need one]"
    ),
) -> None:
    """Write a run for other tools: Markdown, JUnit XML, SARIF, OpenMetrics, or a table.

    Every run has Markdown; which of the others it has is its command's.
    """
    from llmops_cli.cli.screen import say
    from llmops_cli.core.errors import UsageError
    from llmops_cli.runtime.files import write_atomic
    from llmops_cli.show.runs import export_of, open_run

    opened = open_run(run)
    export = export_of(opened, format_)
    if export.save is not None:
        if output is None:
            raise UsageError(f"{format_} goes to a file", hint=f"-o requests.{format_}")
        export.save(opened, output)
        say(f"table: {output}")
    elif export.text is not None:
        text = export.text(opened)
        if output is None:
            typer.echo(text, nl=False)
        else:
            write_atomic(output, text.encode())
            say(f"{format_}: {output}")


@group.command()
def compare(
    baseline: Path = typer.Argument(
        help="The run to compare with; or a gateway's feedback.jsonl, for its users' scores."
    ),
    others: list[Path] = typer.Argument(None, help="One or more runs.", show_default=False),
    metric: list[str] = typer.Option(
        None, help="A metric, such as normalized_ms.p95. May be repeated."
    ),
    min_effect: float = typer.Option(
        None, help="Smallest change in % worth a verdict.  [default: 2; 0 for prompts, batches]"
    ),
    by: str = typer.Option(
        None,
        help="Of users' scores: prompt, model, upstream or side.  [default: prompt]",
        show_default=False,
    ),
    format_: str = typer.Option("table", "--format", help="table or markdown."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the comparison on stdout and nothing else."
    ),
) -> None:
    """Say per metric whether a run is faster or slower than another, or that nobody can tell."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.core.errors import UsageError, unknown_name
    from llmops_cli.show.runs import compare_runs, open_run
    from llmops_cli.show.tables import Narrowed

    if format_ not in ("table", "markdown"):
        raise unknown_name("format", format_, ["table", "markdown"])
    if baseline.suffix == RATINGS:
        if metric or min_effect is not None or format_ != "table":
            raise UsageError("users' scores have --by and --json alone")
        _compare_ratings([baseline, *(others or [])], by or "prompt", as_json=as_json)
        return
    if by is not None:
        raise UsageError("--by is for users' scores", hint="a gateway's feedback.jsonl")
    if not others:
        raise UsageError("a run is compared with another", hint="llmops report compare A B")
    first = open_run(baseline)
    effect = None if min_effect is None else min_effect / 100
    found = [
        compare_runs(first, open_run(path), metrics=metric or [], min_effect=effect)
        for path in others
    ]
    if as_json:
        print_json(_one_or_all([compared.result for compared in found]))
        return
    for compared in found:
        if format_ == "markdown":
            typer.echo(compared.markdown)
            continue
        print_table(Narrowed(compared.table, droppable=compared.droppable))
        for warning in compared.warnings:
            say(f"warning: {warning}")


def _compare_ratings(paths: Sequence[Path], by: str, *, as_json: bool) -> None:
    from typing import get_args

    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.core.errors import unknown_name
    from llmops_cli.show.ratings import RatedBy, compare_ratings, pairs_table, ratings_table
    from llmops_cli.show.tables import Narrowed

    known: tuple[RatedBy, ...] = get_args(RatedBy)
    chosen = next((name for name in known if name == by), None)
    if chosen is None:
        raise unknown_name("side", by, known)
    found = compare_ratings(paths, by=chosen)
    if as_json:
        print_json(found)
        return
    print_table(Narrowed(ratings_table(found), droppable=("often said",)))
    if found.pairs:
        print_table(Narrowed(pairs_table(found)))
    if found.replaced:
        say(f"{found.replaced:,} ratings were given anew: the last one of a request counts")
    if found.unreadable:
        say(f"warning: {found.unreadable:,} lines are no rating")


@group.command()
def gate(
    current: Path = typer.Argument(help="The run to judge."),
    baseline: Path = typer.Option(None, help="The run that '+10%' is relative to."),
    fail_if: list[str] = typer.Option(
        help="A condition, as 'ttft_ms.p95 > +10%'. May be repeated."
    ),
    junit: Path = typer.Option(None, help="Also write the outcome as JUnit XML."),
    allow_invalid: bool = typer.Option(
        False,
        "--allow-invalid",
        help="Judge invalid and partial runs too, and those of another workload or machine.",
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the outcome on stdout and nothing else."
    ),
) -> None:
    """Exit 5 if a run is worse than it may be, and chance does not explain it."""
    from llmops_cli.cli.screen import print_json
    from llmops_cli.core.errors import GateFailed, UsageError
    from llmops_cli.runtime.files import write_atomic
    from llmops_cli.show.gates import gate_junit, verdict_words
    from llmops_cli.show.runs import judge_run, open_run

    against = open_run(baseline) if baseline else None
    run = open_run(current)
    if baseline is not None and _file(baseline) == _file(current):
        raise UsageError(
            f"{current} is its own baseline, and never worse than itself",
            hint="--baseline names the run before",
        )
    judged = judge_run(run, against, fail_if, allow_invalid=allow_invalid)
    if junit:
        page = gate_junit(judged)
        write_atomic(junit, page.encode())
    if as_json:
        print_json(judged)
    else:
        for one in judged:
            typer.echo(f"{one.outcome:7} {one.condition} at {one.load}: {one.text}")
    verdict = verdict_words(judged)
    if verdict is None:
        return
    hint = None
    if baseline:
        hint = call("report", "compare", baseline, current)
    raise GateFailed(verdict, hint=hint)


def _file(run: Path) -> Path:
    """The report that is meant: two of them may lie in one folder."""
    place = run.resolve()
    return place / "report.json" if place.is_dir() else place
