"""What is wrong with something finished: a kind to decide by, a text to read."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """`kind` is an enum of the room that found it; `text` is made for people and never decides."""

    kind: StrEnum
    text: str


def summary(problems: Sequence[Problem]) -> str:
    """The first one, and how many more there are."""
    first = problems[0].text
    others = len(problems) - 1
    if not others:
        return first
    return f"{first} (and {others} more)"
