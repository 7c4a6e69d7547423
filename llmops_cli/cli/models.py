"""`llmops models`."""

from __future__ import annotations

import sys

import msgspec
import typer

from llmops_cli.cli.settings import JSON
from llmops_cli.cli.values import CommandLine

group = CommandLine(
    help="Small real models by name: what there is, what is here, fetch, remove.",
)
NAME = typer.Argument(help="A name from `llmops models list`.")


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="models")


@group.command("list")
def list_(*, as_json: bool = JSON) -> None:
    """Every model that has a name here, and whether it is on this machine."""
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_table
    from llmops_cli.models.named import model_names, status_of
    from llmops_cli.models.show import DROPPABLE, FOLDS, models_table
    from llmops_cli.show.tables import Narrowed

    with TerminalProgress() as progress:
        found = [status_of(name, progress=progress) for name in model_names()]
    if as_json:
        print_json(found)
        return
    print_table(Narrowed(models_table(found), droppable=DROPPABLE, folds=FOLDS))


@group.command()
def get(name: str = NAME, *, as_json: bool = JSON) -> None:
    """Fetch or train the model now; MODEL does it by itself on first use."""
    from llmops_cli.cli.screen import TerminalProgress, print_json
    from llmops_cli.models.named import named_model

    with TerminalProgress() as progress:
        artifact = named_model(name).make(progress=progress)
    if as_json:
        print_json(artifact)
        return
    sys.stdout.write(f"{artifact.path}\n")


@group.command()
def show(name: str = NAME, *, as_json: bool = JSON) -> None:
    """What a model is, where it comes from and where it lies."""
    from llmops_cli.cli.screen import TerminalProgress, print_json
    from llmops_cli.models.named import status_of

    with TerminalProgress() as progress:
        found = status_of(name, progress=progress)
    if as_json:
        print_json(found)
        return
    fields = msgspec.structs.asdict(found)
    copies = fields.pop("copies")
    for field, value in fields.items():
        sys.stdout.write(f"{field:10} {'not here yet' if value is None else value}\n")
    for copy in copies:
        sys.stdout.write(f"{'copy':10} {copy.path}: {copy.check}\n")


@group.command()
def remove(name: str = NAME) -> None:
    """Delete what was fetched or trained."""
    from llmops_cli.core.errors import UsageError
    from llmops_cli.models.named import named_model

    freed_bytes = named_model(name).remove()
    if not freed_bytes:
        raise UsageError(f"{name} is not on this machine", hint="llmops models list")
    sys.stdout.write(f"removed {name} ({freed_bytes / 1e6:,.0f} MB)\n")
