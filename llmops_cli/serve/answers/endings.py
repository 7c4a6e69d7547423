"""Which choices of a stream have ended: one that does not say its own end is whole by that."""

from __future__ import annotations

import re

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.answers.dialects.sse import END, data_of

FINISHED = re.compile(rb'"finish_reason": ?"[^"]')


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] = []


_decode = msgspec.json.Decoder(_Chunk).decode


class Endings:
    """`count`: of the choices that were asked for. A single one is known by its last event."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._ended: set[int] = set()

    def feed(self, events: bytes) -> None:
        """Whole events, all of them."""
        if self._count == 1 or FINISHED.search(events) is None:
            return
        for event in events.split(END):
            if FINISHED.search(event) is not None:
                self._note(data_of(event))

    def _note(self, data: bytes) -> None:
        try:
            choices = _decode(data).choices
        except UNREADABLE:
            return  # who reads the events refuses it
        self._ended.update(choice.index for choice in choices if choice.finish_reason)

    def are_all(self, last: bytes) -> bool:
        """`last`: the last event with choices."""
        if self._count == 1:
            return FINISHED.search(last) is not None
        return len(self._ended) >= self._count
