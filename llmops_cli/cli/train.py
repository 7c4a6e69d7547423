"""`llmops train`."""

from __future__ import annotations

from pathlib import Path

import typer

from llmops_cli.cli.options import Given, in_groups, recipe_command
from llmops_cli.cli.settings import JSON, RECIPE
from llmops_cli.train.recipe import TrainRecipe


def register(app: typer.Typer) -> None:
    command = recipe_command(train, TrainRecipe)
    app.command("train", cls=in_groups(TrainRecipe))(command)


def train(
    given: Given,
    *,
    recipe: Path = RECIPE,
    output: Path = typer.Option(
        None,
        "-o",
        "--output",
        help="Folder of the model, its checkpoints and logs.  [default: in the cache]",
    ),
    as_json: bool = JSON,
) -> None:
    """Train a causal language model, from scratch or further; the `demo` model by default."""
    from llmops_cli.cli.screen import TerminalProgress, print_json, say, show_table
    from llmops_cli.cli.settings import resolved
    from llmops_cli.train.run import train_as_rank
    from llmops_cli.train.saved import save_run
    from llmops_cli.train.show import train_table

    found = resolved(TrainRecipe, given, command="train", file=recipe)
    with TerminalProgress() as progress:
        report = train_as_rank(found.recipe, found.origins, progress=progress, output=output)
    if report is None:
        return
    saved = save_run(report)
    if as_json:
        print_json(report)
        return
    say(f"{'kept' if report.reused else 'trained'} {report.path}")
    show_table(train_table(report))
    say(f"report: {saved / 'report.json'}    plots: {saved / 'report.html'}")
