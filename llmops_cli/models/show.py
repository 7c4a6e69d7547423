"""Models with a name as a table."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from llmops_cli.models.named import ModelStatus
from llmops_cli.show.tables import add_columns, megabytes

DROPPABLE = ("licence", "format")
FOLDS = ("what", "where")


def models_table(found: Iterable[ModelStatus]) -> Table:
    """One row a model; what is not here says what having it costs."""
    table = Table()
    add_columns(
        table,
        ["name", "format", "MB here", "licence", "what", "where"],
        words=["name", "format", "licence", "what", "where"],
    )
    for model in found:
        where = model.path or f"not here: {model.cost}"
        table.add_row(
            model.name,
            model.format,
            megabytes(model.size_bytes),
            model.licence,
            model.summary,
            where,
        )
    return table
