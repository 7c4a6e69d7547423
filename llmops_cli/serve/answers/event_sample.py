"""How many tokens the events of a stream are, whose upstream does not count them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

BYTES_PER_TOKEN = 4
"""Of a stream's text, where nobody counted: English has four and a half, so this is rather much."""
TOKEN_MOST_BYTES = 12
"""On average: events with more than that have several tokens each."""
KEPT_MOST = 31
EVERY = 3
"""Of those kept, where there are so many. Odd: every second event of a stream may say nothing."""
LONG_BYTES = 4096
"""Of an event that is not kept itself."""
_WORDS = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|refusal|arguments|delta)": ?'
    rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
)
"""What an event says, as its JSON has it: in leaps over what is no escape."""


def words_of(event: bytes) -> bytes:
    return b"".join(_WORDS.findall(event))


def _wrapping_of(event: bytes) -> int:
    """Its bytes beside what it says; 0 where it says nothing."""
    words = words_of(event)
    return len(event) - len(words) if words else 0


class EventSample:
    """Some of a stream's events, as many of its end as of its beginning.

    One event alone is no measure for the others: the last ones of a stream may say nothing, tell
    a reason, a tool's name or log probabilities, and thoughts stand in another field than words.
    Which ones depends on their numbers alone, so that a stream means the same however it is cut.
    They are read where they are needed: most upstreams count. `due`: the number of the next one,
    from 1 on.
    """

    def __init__(self) -> None:
        self.due = 1
        self._stride = 1
        self._kept: list[bytes | int] = []

    def take(self, before: int, events: Sequence[bytes]) -> None:
        """`before`: how many there were until these."""
        while self.due <= before + len(events):
            event = events[self.due - before - 1]
            self._kept.append(event if len(event) <= LONG_BYTES else _wrapping_of(event))
            if len(self._kept) == KEPT_MOST:
                self._kept = self._kept[::EVERY]
                self._stride *= EVERY
            self.due += self._stride

    def tokens(self, events: int, size: int) -> int:
        """One each, or by their words where a server sends several at a time.

        `size`: bytes of all events.
        """
        found = (each if isinstance(each, int) else _wrapping_of(each) for each in self._kept)
        wrappings = [each for each in found if each]
        if not wrappings:
            return events
        said = size - events * median(wrappings)
        if said <= events * TOKEN_MOST_BYTES:
            return events
        return max(events, int(said / BYTES_PER_TOKEN))
