"""`llmops convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llmops_cli.cli.options import Given, recipe_command
from llmops_cli.cli.settings import JSON, RECIPE
from llmops_cli.convert.recipe import ConvertRecipe

if TYPE_CHECKING:
    from llmops_cli.convert.plan import Task
    from llmops_cli.convert.report import ConvertReport


def register(app: typer.Typer) -> None:
    command = recipe_command(convert, ConvertRecipe)
    app.command("convert")(command)


OUTPUT = typer.Option(
    None,
    "-o",
    "--output",
    help="The .gguf file or its folder; for hf the folder.  [default: in the cache]",
)
DRY_RUN = typer.Option(
    False, "--dry-run", help="Say what would be made, by which converter; make nothing."
)


def convert(
    given: Given,
    *,
    recipe: Path = RECIPE,
    output: Path = OUTPUT,
    dry_run: bool = DRY_RUN,
    as_json: bool = JSON,
) -> None:
    """Write a model's weights in another format: GGUF, or a Hugging Face folder.

    Architectures that our converter does not write go to llama.cpp's own.
    """
    from llmops_cli.cli.screen import TerminalProgress
    from llmops_cli.cli.settings import resolved
    from llmops_cli.convert.plan import task_of
    from llmops_cli.convert.report import failure_of
    from llmops_cli.convert.run import convert_model
    from llmops_cli.models.find import find_model
    from llmops_cli.runtime.runs import RunFolder

    found = resolved(ConvertRecipe, given, command="convert", file=recipe)
    if not dry_run:
        RunFolder("convert", "").require_unused()
    with TerminalProgress() as progress:
        source = find_model(found.recipe.model, progress=progress)
        task = task_of(found.recipe, source, output=output)
        if dry_run:
            _plan(task, as_json=as_json)
            return
        report = convert_model(found.recipe, found.origins, task, progress=progress)
    _tell(report, as_json=as_json)
    failure = failure_of(report)
    if failure is not None:
        raise failure


def _plan(task: Task, *, as_json: bool) -> None:
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.convert.plan import plan_of
    from llmops_cli.convert.show import plan_table

    plan = plan_of(task)
    if as_json:
        print_json(plan)
    else:
        print_table(plan_table(plan))


def _tell(report: ConvertReport, *, as_json: bool) -> None:
    """Keeps the report and shows it."""
    from llmops_cli.cli.screen import print_json, print_kept
    from llmops_cli.convert.show import convert_table
    from llmops_cli.runtime.paths import end_of
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.show.runs import leave_page

    name = end_of(str(report.manifest.recipe["model"]))
    folder = RunFolder("convert", f"{name}-{report.format}")
    saved = folder.write_report(report)
    page = leave_page(folder.path)
    if as_json:
        print_json(report)
        return
    print_kept(convert_table(report), f"report: {saved}    page: {page}")
