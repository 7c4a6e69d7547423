"""`llmops report`: look at saved runs, compare them, and fail a build on a regression."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from llmops_cli.bench.compare import SavedRun
    from llmops_cli.bench.report import BenchReport
    from llmops_cli.core.report import Report

group = typer.Typer(
    help="Show, compare, export and gate saved runs.", no_args_is_help=True, rich_markup_mode=None
)


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
    from llmops_cli.show.runs import table_of

    loaded = [_load(path) for path in runs]
    if as_json:
        print_json(loaded[0][0] if len(loaded) == 1 else [report for report, _ in loaded])
        return
    for report, word in loaded:
        print_table(table_of(report, word=word, width=width_of(sys.stdout)))


@group.command("list")
def list_(
    folder: Path = typer.Argument(Path("results"), help="Where run folders lie."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the list on stdout and nothing else."
    ),
) -> None:
    """List the runs in a folder, oldest first."""
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.core.errors import UsageError
    from llmops_cli.show.runs import run_list, run_list_table

    if not folder.is_dir():
        raise UsageError(f"no folder {folder}", hint="llmops report list PATH")
    found = []
    for path in sorted(folder.glob("**/report.json")):
        try:
            report, word = _load(path.parent)
        except UsageError as error:
            say(f"{path}: {error.message}")
            continue
        found.append((str(path.parent), report, word))
    found.sort(key=lambda row: row[1].manifest.started_at)
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
        None, "-o", "--output", help="The file.  [default: report.html in the first run]"
    ),
) -> None:
    """Write a self-contained page with interactive plots."""
    from llmops_cli.bench.page import save_page
    from llmops_cli.cli.screen import say

    target = output or _folder(runs[0]) / "report.html"
    save_page([(path, _load_bench(path)[0]) for path in runs], target)
    say(f"page: {target}")


@group.command()
def export(
    run: Path = typer.Argument(help="A run folder."),
    format_: str = typer.Option(
        "markdown", "--format", help="markdown, junit, openmetrics or parquet."
    ),
    output: Path = typer.Option(
        None, "-o", "--output", help="The file.  [default: stdout; parquet needs one]"
    ),
) -> None:
    """Write a run for other tools: Markdown, JUnit XML, OpenMetrics, or its requests as Parquet."""
    from llmops_cli.bench.export import TEXTS, save_parquet
    from llmops_cli.cli.screen import say
    from llmops_cli.core.errors import UsageError, unknown_name
    from llmops_cli.runtime.files import write_atomic

    if format_ not in (*TEXTS, "parquet"):
        raise unknown_name("format", format_, [*TEXTS, "parquet"])
    report = _load_bench(run)[0]
    if format_ == "parquet":
        if output is None:
            raise UsageError("Parquet is no text", hint="-o requests.parquet")
        save_parquet(_folder(run), output)
        say(f"table: {output}")
        return
    text = TEXTS[format_](report)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_atomic(output, text.encode())
        say(f"{format_}: {output}")


@group.command()
def compare(
    baseline: Path = typer.Argument(help="The run to compare with."),
    others: list[Path] = typer.Argument(help="One or more runs."),
    metric: list[str] = typer.Option(
        None, help="A metric, such as normalized_ms.p95. May be repeated."
    ),
    min_effect: float = typer.Option(
        None, help="Smallest change in % worth a verdict.  [default: 2]"
    ),
    format_: str = typer.Option("table", "--format", help="table or markdown."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the comparison on stdout and nothing else."
    ),
) -> None:
    """Say per metric whether a run is faster or slower than another, or that nobody can tell."""
    from llmops_cli.bench.compare import MIN_EFFECT
    from llmops_cli.bench.compare import compare as compare_runs
    from llmops_cli.bench.export import comparison_markdown
    from llmops_cli.bench.gate import metric_names
    from llmops_cli.bench.show import comparison_table
    from llmops_cli.cli.screen import print_json, print_table, say
    from llmops_cli.core.errors import UsageError, unknown_name

    if format_ not in ("table", "markdown"):
        raise unknown_name("format", format_, ["table", "markdown"])
    for name in metric or ():
        if name not in metric_names():
            raise unknown_name("metric", name, metric_names())
    first = _load_run(baseline)
    effect = MIN_EFFECT if min_effect is None else min_effect / 100
    found = [
        compare_runs(first, _load_run(path), metrics=metric or None, min_effect=effect)
        for path in others
    ]
    for comparison in found:
        if not comparison.differences:
            raise UsageError(
                f"{comparison.baseline} and {comparison.current} have nothing to compare",
                hint="; ".join(comparison.warnings) or "measure the same loads in both",
            )
    if as_json:
        print_json(found[0] if len(found) == 1 else found)
        return
    for comparison in found:
        if format_ == "markdown":
            typer.echo(comparison_markdown(comparison))
        else:
            print_table(comparison_table(comparison))
            for warning in comparison.warnings:
                say(f"warning: {warning}")


@group.command()
def gate(
    current: Path = typer.Argument(help="The run to judge."),
    baseline: Path = typer.Option(None, help="The run that '+10%' is relative to."),
    fail_if: list[str] = typer.Option(
        help="A condition, as 'ttft_ms.p95 > +10%'. May be repeated."
    ),
    junit: Path = typer.Option(None, help="Also write the outcome as JUnit XML."),
    allow_invalid: bool = typer.Option(
        False, "--allow-invalid", help="Judge an invalid or partial run all the same."
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the outcome on stdout and nothing else."
    ),
) -> None:
    """Exit 5 if a run is worse than it may be, and chance does not explain it."""
    from llmops_cli.bench.export import gate_junit
    from llmops_cli.bench.gate import judge_run, parse_gate, untrusted
    from llmops_cli.cli.screen import print_json
    from llmops_cli.core.errors import GateFailed
    from llmops_cli.runtime.files import write_atomic

    conditions = [parse_gate(text) for text in fail_if]
    run = _load_run(current)
    against = _load_run(baseline) if baseline else None
    judged = [] if allow_invalid else [*untrusted(run), *(untrusted(against) if against else [])]
    judged += judge_run(run, against, conditions)
    if junit:
        write_atomic(junit, gate_junit(judged).encode())
    if as_json:
        print_json(judged)
    else:
        for one in judged:
            typer.echo(f"{one.outcome:7} {one.condition} at {one.load}: {one.text}")
    bad = [one for one in judged if one.outcome != "passed"]
    if bad:
        first = bad[0]
        raise GateFailed(
            f"{len(bad)} of {len(judged)} conditions not passed; "
            f"{first.condition} at {first.load}: {first.text}",
            hint=f"llmops report compare {baseline} {current}" if baseline else None,
        )


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _load(path: Path) -> tuple[Report, str]:
    """The report and a word on it; empty for a whole run."""
    from llmops_cli.bench.files import recover
    from llmops_cli.bench.report import BenchReport
    from llmops_cli.runtime.runs import load_report

    found = recover(_folder(path))
    if found is not None:
        return found
    report = load_report(path)
    partial = isinstance(report, BenchReport) and not report.manifest.complete
    return report, "partial" if partial else ""


def _load_bench(path: Path) -> tuple[BenchReport, str]:
    from llmops_cli.bench.report import BenchReport
    from llmops_cli.core.errors import UsageError

    report, word = _load(path)
    if not isinstance(report, BenchReport):
        raise UsageError(
            f"{path} is no bench run ({report.schema})", hint="llmops report show reads the others"
        )
    return report, word


def _load_run(path: Path) -> SavedRun:
    from llmops_cli.bench.compare import load_run

    return load_run(path, _load_bench(path)[0])
