"""A library of prompts as rows and as a table."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from rich.table import Table

from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.show.tables import MISSING, Narrowed, add_columns, cell

COLUMNS = ("name", "version", "model", "messages", "variables", "chars", "file")
WORDS = ("name", "version", "model", "variables", "file")
DROPPABLE = ("chars", "messages", "model", "file")


class PromptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt of a list. `chars`: of its messages, with their holes empty."""

    name: str
    version: str
    description: str
    model: str | None
    messages: int
    variables: list[str]
    chars: int
    file: str


def rows_of(prompts: Iterable[Prompt]) -> list[PromptRow]:
    """In their order."""
    return [
        PromptRow(
            name=prompt.name,
            version=prompt.version,
            description=prompt.description,
            model=prompt.model,
            messages=len(prompt.messages),
            variables=prompt.holes,
            chars=sum(len(message.content) for message in prompt.messages),
            file=str(prompt.path),
        )
        for prompt in prompts
    ]


def prompts_table(rows: Iterable[PromptRow]) -> Narrowed:
    """For people."""
    table = Table()
    add_columns(table, COLUMNS, words=WORDS)
    for row in rows:
        table.add_row(
            cell(row.name),
            row.version,
            cell(row.model or MISSING),
            str(row.messages),
            cell(", ".join(row.variables) or MISSING),
            str(row.chars),
            cell(row.file),
        )
    return Narrowed(table, droppable=DROPPABLE)
