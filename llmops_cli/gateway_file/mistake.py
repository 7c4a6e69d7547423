"""One thing that is wrong with a gateway's configuration, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from llmops_cli.core.errors import unknown_name

Place = tuple[str | int, ...]
"""Steps from the top: keys of mappings, and numbers of items."""


class Mistake(NamedTuple):
    place: Place
    message: str
    hint: str | None = None


Mistakes = Iterator[Mistake]


def misspelt(
    place: Place,
    kind: str,
    name: str,
    known: Iterable[str],
) -> Mistake:
    """A name that does not exist, with the nearest one that does."""
    wrong = unknown_name(kind, name, known)
    return Mistake(
        place,
        wrong.message,
        wrong.hint,
    )


def below(place: Place, mistakes: Iterable[Mistake]) -> Mistakes:
    """The mistakes of what stands at a place."""
    for mistake in mistakes:
        whole = place + mistake.place
        yield mistake._replace(place=whole)
