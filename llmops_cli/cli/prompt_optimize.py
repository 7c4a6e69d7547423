"""`llmops prompt optimize`."""

from __future__ import annotations

from pathlib import Path

import typer

from llmops_cli.cli.late import add_late
from llmops_cli.cli.options import Given, recipe_command
from llmops_cli.cli.prompt_eval import resumed
from llmops_cli.cli.settings import JSON, OUTPUT, RECIPE


def register(group: typer.Typer) -> None:
    add_late(group, optimize, _make)


def _make(app: typer.Typer) -> None:
    from llmops_cli.prompt.optimize.recipe import OptimizeRecipe

    app.command("optimize")(recipe_command(optimize, OptimizeRecipe))


def optimize(
    given: Given,
    *,
    resume: Path = typer.Option(None, help="The folder of a run that was broken off."),
    recipe: Path = RECIPE,
    output: Path = OUTPUT,
    as_json: bool = JSON,
) -> None:
    """Search a better prompt within a budget; it is accepted by a test on cases it never saw."""
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_kept
    from llmops_cli.cli.settings import resolved
    from llmops_cli.prompt.optimize.plan import optimize_plan
    from llmops_cli.prompt.optimize.recipe import MAY_CHANGE, OptimizeRecipe
    from llmops_cli.prompt.optimize.run import optimize as run
    from llmops_cli.prompt.optimize.show import DROPPABLE, error_of, optimize_table
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.show.runs import leave_page
    from llmops_cli.show.tables import Narrowed

    if resume is not None:
        recipe, output = resumed(
            resume, given, recipe, output, command="prompt optimize", may_change=MAY_CHANGE
        )
    found = resolved(OptimizeRecipe, given, command="prompt-optimize", file=recipe, old_names=False)
    folder = RunFolder("prompt-optimize", found.recipe.path.stem, chosen=output)
    if resume is None:
        folder.require_unused(outcomes="outcomes.jsonl")
    plan = optimize_plan(found.recipe)
    with TerminalProgress() as progress:
        for note in plan.told_notes:
            progress.say(f"note: {note}")
        try:
            report = run(found.recipe, found.origins, plan=plan, folder=folder, progress=progress)
        finally:
            folder.forget_if_empty()
    page = leave_page(folder.path)
    if as_json:
        print_json(report)
    else:
        files = f"prompt: {folder.path / 'messages.json'}    report: {folder.path / 'report.json'}"
        table = Narrowed(optimize_table(report), droppable=DROPPABLE)
        print_kept(table, f"{files}\npage: {page}")
    error = error_of(report, folder.path)
    if error is not None:
        raise error
