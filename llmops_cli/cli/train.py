"""`llmops train`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from llmops_cli.cli.options import Given, in_groups, recipe_command
from llmops_cli.cli.settings import JSON, RECIPE
from llmops_cli.core.errors import UsageError
from llmops_cli.core.resolve import Resolved
from llmops_cli.train.recipe import TrainRecipe


def register(app: typer.Typer) -> None:
    command = recipe_command(train, TrainRecipe)
    app.command("train", cls=in_groups(TrainRecipe))(command)


DRY_RUN = typer.Option(
    False, "--dry-run", help="Say what each strategy needs and which one is chosen; train nothing."
)
EMIT = typer.Option(
    None, "--emit", help="Print the files of a launcher and run nothing: torchrun, slurm, k8s."
)
FOLDER = typer.Option(
    None,
    "-o",
    "--output",
    help="Folder of the model, its checkpoints and logs.  [default: in the cache]",
)


def train(
    given: Given,
    *,
    recipe: Path = RECIPE,
    output: Path = FOLDER,
    dry_run: bool = DRY_RUN,
    emit: str = EMIT,
    as_json: bool = JSON,
) -> None:
    """Train a causal language model, from scratch or further; the `demo` model by default."""
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_kept, say, width_of
    from llmops_cli.cli.settings import resolved

    found = resolved(TrainRecipe, given, command="train", file=recipe)
    if emit and dry_run:
        raise UsageError(
            "--emit writes the files of a run and --dry-run plans it", hint="give one of them"
        )
    if emit:
        _emit(emit, found, output)
        return
    if dry_run:
        tell_needs(found, output, as_json=as_json)
        return

    from llmops_cli.train.run import train_as_rank
    from llmops_cli.train.saved import save_run
    from llmops_cli.train.show import train_table

    with TerminalProgress() as progress:
        report = train_as_rank(
            found.recipe, found.origins, progress=progress, output=output, keeps_run=True
        )
    if report is None:
        return
    saved = save_run(report)
    if as_json:
        print_json(report)
        return
    say(f"{'kept' if report.reused else 'trained'} {report.path}")
    table = train_table(report, width=width_of(sys.stdout))
    print_kept(table, f"report: {saved / 'report.json'}    plots: {saved / 'report.html'}")


def tell_needs(asked: Resolved[TrainRecipe], output: Path | None, *, as_json: bool) -> None:
    """What each strategy needs on each device, and which is chosen.

    Raises: GateFailed where none fits; UsageError, EnvironmentMissing.
    """
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.train.kept import refuse_place
    from llmops_cli.train.plan_table import render
    from llmops_cli.train.planned import dry_run_of, refuse_unfit

    if output is not None:
        refuse_place(asked.recipe, output)
    found = dry_run_of(asked.recipe, asked.origins)
    if as_json:
        print_json(found)
    else:
        print_table(render(found))
    refuse_unfit(found)


def _emit(kind: str, asked: Resolved[TrainRecipe], output: Path | None) -> None:
    from llmops_cli.cli.screen import TerminalProgress
    from llmops_cli.train.emit import emit

    with TerminalProgress() as progress:
        text = emit(
            kind,
            asked.recipe,
            asked.origins,
            argv=sys.argv[1:],
            output=output,
            progress=progress,
        )
    sys.stdout.write(text)
