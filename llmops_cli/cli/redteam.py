"""`llmops redteam`, and below it `show`, `compare` and `checklist`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llmops_cli.cli.options import Given, recipe_command, with_subcommands
from llmops_cli.cli.settings import JSON, OUTPUT, RECIPE
from llmops_cli.redteam.recipe import RedteamRecipe

if TYPE_CHECKING:
    from llmops_cli.redteam.report import RedteamReport


def register(app: typer.Typer) -> None:
    below = with_subcommands(show=show, compare=compare, checklist=checklist)
    command = recipe_command(redteam, RedteamRecipe)
    app.command("redteam", cls=below)(command)


def redteam(
    given: Given,
    *,
    fail_if: list[str] = typer.Option(
        None, help="Exit 5 if it holds for sure: 'asr.extraction > 5%'. May be repeated."
    ),
    allow_undecided: str = typer.Option(
        None,
        help="Share of attempts that may lack a verdict where --fail-if asks.  [default: 0%]",
    ),
    resume: Path = typer.Option(None, help="The folder of a run that was broken off."),
    sarif: Path = typer.Option(None, help="Also write SARIF."),
    junit: Path = typer.Option(None, help="Also write JUnit XML."),
    recipe: Path = RECIPE,
    output: Path = OUTPUT,
    as_json: bool = JSON,
) -> None:
    """Attack a served model, by default the demo, and measure how often that succeeds."""
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_kept
    from llmops_cli.cli.settings import resolved
    from llmops_cli.redteam.conditions import possible_condition_of, share_of
    from llmops_cli.redteam.export import write_files
    from llmops_cli.redteam.gates import error_of, problems_of
    from llmops_cli.redteam.run import ATTEMPTS, shares_of
    from llmops_cli.redteam.run import redteam as run
    from llmops_cli.redteam.show import DROPPABLE, redteam_table
    from llmops_cli.redteam.target import folder_word, named_target
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.show.tables import Narrowed

    if resume is not None:
        recipe, output = _resumed(resume, given, recipe, output)
    found = resolved(RedteamRecipe, given, command="redteam", file=recipe)
    planned = shares_of(found.recipe)
    conditions = [possible_condition_of(text, planned) for text in fail_if or []]
    allowed = share_of(allow_undecided, flag="--allow-undecided")
    if resume is None:  # before anybody is asked for a model's name
        RunFolder("redteam", "", chosen=output).require_unused(outcomes=ATTEMPTS)
    target = named_target(found.recipe, found.origins)
    folder = RunFolder("redteam", folder_word(target.recipe), chosen=output)
    with TerminalProgress() as progress:
        try:
            report = run(target.recipe, target.origins, folder=folder, progress=progress)
        finally:
            folder.forget_if_empty()
    write_files(report, folder.path, sarif=sarif, junit=junit)
    if as_json:
        print_json(report)
    else:
        table = Narrowed(redteam_table(report), droppable=DROPPABLE)
        place = f"report: {folder.path / 'report.json'}    page: {folder.path / 'report.html'}"
        print_kept(table, place)
    problems = problems_of(report, conditions, allow_undecided=allowed)
    error = error_of(problems, folder.path)
    if error is not None:
        raise error


def _resumed(
    resume: Path,
    given: Given,
    recipe: Path | None,
    output: Path | None,
) -> tuple[Path, Path]:
    """The recipe and the folder of a run that goes on. Raises: UsageError."""
    from llmops_cli.core.errors import UsageError

    if given or output or recipe:
        raise UsageError(
            "--resume repeats the run's own recipe",
            hint="llmops redteam --resume FOLDER alone",
        )
    kept = resume / "recipe.json"
    if not kept.is_file():
        raise UsageError(f"{resume} holds no run of llmops redteam")
    return kept, resume


def show(
    run: Path = typer.Argument(..., help="A run's folder or report.json."),
    sarif: Path = typer.Option(None, help="Write SARIF."),
    junit: Path = typer.Option(None, help="Write JUnit XML."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the report on stdout and nothing else."
    ),
) -> None:
    """The table of a run that was made, and its other formats."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.redteam.export import write_files
    from llmops_cli.redteam.show import DROPPABLE, redteam_table
    from llmops_cli.show.tables import Narrowed

    report = _load(run)
    folder = run if run.is_dir() else run.parent
    write_files(report, folder, sarif=sarif, junit=junit)
    if as_json:
        print_json(report)
    else:
        print_table(Narrowed(redteam_table(report), droppable=DROPPABLE))


def compare(
    before: Path = typer.Argument(..., help="A run's folder or report.json."),
    after: Path = typer.Argument(..., help="Another, of the same or another model."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the rows on stdout and nothing else."
    ),
) -> None:
    """Which families succeed more or less often than before, beyond chance."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.redteam.compare import compare as rows
    from llmops_cli.redteam.compare import comparison_table

    first = _load(before)
    second = _load(after)
    if as_json:
        print_json(rows(first, second))
    else:
        print_table(comparison_table(first, second))


def checklist(
    url: str = typer.Option(..., help="A running gateway, such as http://127.0.0.1:8080."),
    model: str = typer.Option(None, help="A model that it serves.  [default: its first]"),
    key_env: str = typer.Option("LLMOPS_API_KEY", help="The variable that holds a key for it."),
    deadline_s: float = typer.Option(60.0, min=1.0, help="For all of its requests together."),
    strict: bool = typer.Option(False, "--strict", help="Exit 5 if something is missing."),
    as_json: bool = typer.Option(
        False, "--json", help="Print the list on stdout and nothing else."
    ),
) -> None:
    """Walk the deployment checklist against a running gateway.

    Validation, prompts, filtering, monitoring, access.
    """
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.core.errors import GateFailed
    from llmops_cli.redteam.checklist import checklist as walk
    from llmops_cli.redteam.show import checklist_table

    found = walk(url, model=model, key_env=key_env, deadline_s=deadline_s)
    if as_json:
        print_json(found)
    else:
        print_table(checklist_table(found))
    missing = [item.name for item in found if item.ok is False]
    if strict and missing:
        names = ", ".join(missing)
        raise GateFailed(f"missing: {names}")


def _load(path: Path) -> RedteamReport:
    from llmops_cli.core.errors import UsageError
    from llmops_cli.redteam.report import RedteamReport
    from llmops_cli.runtime.runs import load_report

    report = load_report(path)
    if not isinstance(report, RedteamReport):
        raise UsageError(f"{path} is no run of llmops redteam")
    return report
