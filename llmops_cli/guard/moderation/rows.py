"""Labelled texts: which of OpenAI's categories each has; none of them is a label, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.misfit import misfit_of
from llmops_cli.guard.moderation.categories import ALIASES, CATEGORIES, category_of
from llmops_cli.runtime.rows import rows_in

FORM = 'lines of {"text": ..., "categories": ["hate", ...]}; [] for a text with none'


class ModeratedText(msgspec.Struct, frozen=True):
    text: str
    categories: list[str]


def read_moderated(path: Path) -> Iterator[ModeratedText]:
    """Raises: UsageError naming the line."""
    try:
        for number, row in rows_in(path):
            yield _moderated(row, f"{path}, line {number}")
    except OSError as error:
        raise UsageError(f"no data at {path}: {error.strerror}") from None


def _moderated(raw: object, where: str) -> ModeratedText:
    misfit = misfit_of(raw, ModeratedText)
    if misfit is not None:
        raise UsageError(f"{where}: {misfit.told}", hint=FORM)
    row = msgspec.convert(raw, ModeratedText)
    found = []
    for label in row.categories:
        name = category_of(label)
        if name is None:
            raise unknown_name(f"category ({where})", label, [*CATEGORIES, *ALIASES])
        found.append(name)
    return ModeratedText(row.text, sorted(set(found)))


def has_categories(path: Path) -> bool:
    """Whether its first row is one of these. Raises: UsageError for no file."""
    try:
        for _, row in rows_in(path):
            return isinstance(row, dict) and "categories" in row
    except OSError as error:
        raise UsageError(f"no data at {path}: {error.strerror}") from None
    return False
