"""What the load loop needs of a conversation: request bodies, one after another."""

from __future__ import annotations

from typing import Protocol

import msgspec


class PlannedTurn(msgspec.Struct, gc=False):
    """A request body and what was asked for."""

    body: bytes
    input_wanted: int
    output_wanted: int


class Session(Protocol):
    """A conversation: its next request given the last answer, or None at its end."""

    index: int
    think_time_s: float

    @property
    def needs_answer(self) -> bool:
        """Whether another turn may follow, so that this answer must be parsed at once."""

    def next_turn(self, answer: str | None) -> PlannedTurn | None: ...
