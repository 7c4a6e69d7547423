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
    from llmops_cli.cli.screen import TerminalProgress, print_json, say
    from llmops_cli.cli.settings import resolved
    from llmops_cli.runtime.runs import RunFolder
    from llmops_cli.train.run import train as run

    found = resolved(TrainRecipe, given, command="train", file=recipe)
    with TerminalProgress() as progress:
        report = run(found.recipe, found.origins, progress=progress, output=output)
    saved = RunFolder("train", Path(report.path).name).write_report(report)
    if as_json:
        print_json(report)
        return
    say(f"{'kept' if report.reused else 'trained'} {report.path}")
    say(
        f"{report.parameters:,} parameters, {report.steps} steps, loss {report.loss:.4f}, "
        f"{report.tokens_per_s:,.0f} tokens/s, {report.cpu_s:.0f} CPU s, "
        f"digest {report.digest[:19]}"
    )
    say(f"report: {saved}")
