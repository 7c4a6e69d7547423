"""`llmops run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from llmops_cli.cli.settings import JSON, OUTPUT

if TYPE_CHECKING:
    from llmops_cli.pipeline.report import PipelineReport


def register(app: typer.Typer) -> None:
    app.command()(run)


def run(
    file: Path = typer.Argument(
        help="A YAML recipe, the name of one that comes with llmops (llmops recipes list), or a "
        "saved run of one."
    ),
    model: str = typer.Option(None, help="Use this model instead of the recipe's."),
    output: Path = OUTPUT,
    as_json: bool = JSON,
) -> None:
    """Run a recipe of steps (train, quantize, bench, evaluate); finished steps are kept."""
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_kept, say
    from llmops_cli.cli.settings import refuse_invalid
    from llmops_cli.pipeline.recipe import load_recipe, steps_of
    from llmops_cli.pipeline.report import problems_of, require_all
    from llmops_cli.pipeline.run import run_pipeline
    from llmops_cli.pipeline.show import PLOT
    from llmops_cli.runtime.recipes import recipe_file
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.show.runs import leave_page, table_of

    recipe = load_recipe(recipe_file(file))
    if model is not None:
        recipe = msgspec.structs.replace(recipe, model=model, train=None)
    bench = steps_of(recipe).bench
    folder = RunFolder("run", file.stem, chosen=output)
    folder.require_unused()
    with TerminalProgress() as progress:
        try:
            report = run_pipeline(recipe, folder=folder, progress=progress)
        finally:
            folder.forget_if_empty()
    _plot(report, folder.path / PLOT)
    page = leave_page(folder.path)
    if as_json:
        print_json(report)
    else:
        place = f"report: {folder.path / 'report.json'}    page: {page}"
        print_kept(table_of(report), place)
    problems = problems_of(report)
    if bench is not None and not bench.allow_invalid:
        again = "run again to measure that anew, or set bench.allow_invalid in the recipe"
        refuse_invalid(problems, hint=again)
    for problem in problems:
        say(f"INVALID: {problem.text}")
    require_all(report)


def _plot(report: PipelineReport, target: Path) -> None:
    """Where plots can be made; else why not."""
    from llmops_cli.cli.screen import say
    from llmops_cli.core.errors import EnvironmentMissing
    from llmops_cli.pipeline.plot import plot_pipeline

    try:
        plot_pipeline(report, target)
        say(f"plot: {target}")
    except EnvironmentMissing as missing:
        say(f"no plot: {missing.message} ({missing.hint})")
