"""What is wrong with something finished: a kind to decide by, a text to read."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """`kind` is an enum of the room that found it; `text` is made for people and never decides."""

    kind: StrEnum
    text: str
