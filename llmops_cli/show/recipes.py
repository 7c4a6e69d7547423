"""The recipes that come with llmops as a table."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from llmops_cli.runtime.recipes import PackagedRecipe
from llmops_cli.show.tables import add_columns

FOLDS = ("what for", "how")


def recipes_table(found: Iterable[PackagedRecipe]) -> Table:
    """One row a recipe."""
    table = Table()
    columns = ["name", *FOLDS]
    add_columns(table, columns, words=columns)
    for recipe in found:
        how = "\n".join(f"llmops {command}" for command in recipe.commands)
        table.add_row(recipe.name, recipe.summary, how)
    return table
