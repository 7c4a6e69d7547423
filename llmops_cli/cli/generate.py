"""`llmops generate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llmops_cli.cli.options import Given, in_groups, recipe_command
from llmops_cli.cli.settings import JSON, RECIPE
from llmops_cli.generate.recipe import GenerateRecipe

if TYPE_CHECKING:
    from llmops_cli.core.progress import Progress


def register(app: typer.Typer) -> None:
    command = recipe_command(generate, GenerateRecipe)
    app.command("generate", cls=in_groups(GenerateRecipe))(command)


def generate(
    given: Given,
    *,
    output: Path = typer.Option(None, "-o", "--output", help="The file of answers, JSONL."),
    recipe: Path = RECIPE,
    retry_errors: bool = typer.Option(
        False, "--retry-errors", help="Ask rows again that failed before."
    ),
    overwrite: bool = typer.Option(
        False, "--overwrite", help="Replace an output that is there already."
    ),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Check the rows and say what they would take; send nothing."
    ),
    fail_if: list[str] = typer.Option(
        None, help="Exit 5 if it holds: 'errors > 1%', 'cost > 5'. May be repeated."
    ),
    as_json: bool = JSON,
) -> None:
    """Ask a model every row of a file; the same command goes on after a kill."""
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_kept
    from llmops_cli.cli.settings import resolved
    from llmops_cli.core.errors import UsageError
    from llmops_cli.generate.gates import condition_of, failure_of
    from llmops_cli.generate.plan import source_of
    from llmops_cli.generate.run import generate as run
    from llmops_cli.generate.show import generate_table
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.show.runs import leave_page

    found = resolved(GenerateRecipe, given, command="generate", file=recipe)
    source = source_of(found.recipe)
    conditions = [condition_of(text, found.recipe) for text in fail_if or []]
    with TerminalProgress() as progress:
        if dry_run:
            _show_forecast(found.recipe, output, progress, as_json=as_json)
            return
        if output is None:
            raise UsageError("no place for the answers", hint="-o OUT.jsonl")
        folder = RunFolder("generate", source.stem)
        folder.require_unused()
        report = run(
            found.recipe,
            found.origins,
            output=output,
            folder=folder,
            retry_errors=retry_errors,
            overwrite=overwrite,
            progress=progress,
        )
    page = leave_page(folder.path)
    if as_json:
        print_json(report)
    else:
        answers = f"answers: {output}    " if output.exists() else ""
        place = f"{answers}report: {folder.path / 'report.json'}    page: {page}"
        print_kept(generate_table(report), place)
    failure = failure_of(report, conditions)
    if failure is not None:
        raise failure


def _show_forecast(
    recipe: GenerateRecipe,
    output: Path | None,
    progress: Progress,
    *,
    as_json: bool,
) -> None:
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.generate.run import plan_generate
    from llmops_cli.generate.show import forecast_table

    forecast = plan_generate(recipe, output, progress=progress)
    if as_json:
        print_json(forecast)
    else:
        print_table(forecast_table(forecast))
