"""Labelled texts: which of OpenAI's categories each has; none of them is a label, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.errors import unknown_name
from llmops_cli.guard.labelled_rows import first_row, labelled_rows
from llmops_cli.guard.moderation.categories import ALIASES, CATEGORIES, category_of

FORM = 'lines of {"text": ..., "categories": ["hate", ...]}; [] for a text with none'


class ModeratedText(msgspec.Struct, frozen=True):
    text: str
    categories: list[str]


def read_moderated(path: Path) -> Iterator[ModeratedText]:
    """Raises: UsageError naming the line."""
    for where, row in labelled_rows(path, ModeratedText, form=FORM):
        found = set()
        for label in row.categories:
            name = category_of(label)
            if name is None:
                raise unknown_name(f"category ({where})", label, [*CATEGORIES, *ALIASES])
            found.add(name)
        yield ModeratedText(row.text, sorted(found))


def has_categories(path: Path) -> bool:
    """Whether its first row is one of these. Raises: UsageError for no file."""
    row = first_row(path)
    return isinstance(row, dict) and "categories" in row
