"""How many tokens the events of a stream are, whose upstream does not count them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

BYTES_PER_TOKEN = 4
"""Of a stream's text, where nobody counted: English has four and a half, so this is rather much."""
TOKEN_MOST_BYTES = 12
"""On average: events with more than that have several tokens each."""
KEPT_MOST = 32
_WORDS = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|refusal|arguments|delta)": ?'
    rb'"((?:[^"\\]|\\.)*)"'
)
"""What an event says, as its JSON has it."""


def words_of(event: bytes) -> bytes:
    return b"".join(_WORDS.findall(event))


class EventSample:
    """Some of a stream's events, as many of its end as of its beginning.

    One event alone is no measure for the others: the last ones of a stream may say nothing, tell
    a reason, a tool's name or log probabilities, and thoughts stand in another field than words.
    Which ones depends on their numbers alone, so that a stream means the same however it is cut.
    `due`: the number of the next one, from 1 on.
    """

    def __init__(self) -> None:
        self.due = 1
        self._stride = 1
        self._wrappings: list[int] = []

    def take(self, before: int, events: Sequence[bytes]) -> None:
        """`before`: how many there were until these."""
        while self.due <= before + len(events):
            self._take(events[self.due - before - 1])

    def _take(self, event: bytes) -> None:
        words = words_of(event)
        if not words:
            self.due += 1
            return
        self._wrappings.append(len(event) - len(words))
        if len(self._wrappings) == KEPT_MOST:
            self._wrappings = self._wrappings[::2]
            self._stride *= 2
        self.due += self._stride

    def tokens(self, events: int, size: int) -> int:
        """One each, or by their words where a server sends several at a time.

        `size`: bytes of all events.
        """
        if not self._wrappings:
            return events
        said = size - events * median(self._wrappings)
        if said <= events * TOKEN_MOST_BYTES:
            return events
        return max(events, int(said / BYTES_PER_TOKEN))
