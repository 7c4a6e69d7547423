"""`llmops recipes`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from llmops_cli.cli.settings import JSON
from llmops_cli.cli.values import CommandLine

group = CommandLine(
    help="The recipes that come with llmops, by name: list, show, copy.",
)
NAME = typer.Argument(help="A name from `llmops recipes list`.")
TARGET = typer.Argument(Path(), help="The file to write, or the folder that it goes to.")


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="recipes")


@group.command("list")
def list_(*, as_json: bool = JSON) -> None:
    """Every recipe, what it is for and the command that takes it."""
    from llmops_cli.cli.screen import print_json, print_table
    from llmops_cli.runtime.recipes import packaged_recipes
    from llmops_cli.show.recipes import FOLDS, recipes_table
    from llmops_cli.show.tables import Narrowed

    found = packaged_recipes()
    if as_json:
        print_json(found)
        return
    print_table(Narrowed(recipes_table(found), folds=FOLDS))


@group.command()
def show(name: str = NAME) -> None:
    """Print the recipe: YAML on stdout, as `copy` would write it."""
    from llmops_cli.runtime.recipes import packaged_recipe

    path = Path(packaged_recipe(name).path)
    sys.stdout.write(path.read_text(encoding="utf-8"))


@group.command()
def copy(name: str = NAME, target: Path = TARGET) -> None:
    """Write the recipe to a file of your own, to be changed; a file that is there stays."""
    from llmops_cli.runtime.recipes import copy_recipe

    written = copy_recipe(name, target)
    sys.stdout.write(f"{written}\n")
