"""Server-sent events, as OpenAI's and Anthropic's APIs use them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

END = b"\n\n"
BETWEEN = b"}\n\ndata: {"
"""Of two events with an object on one line each, as nearly all are."""
HEAVY_BYTES = 16 << 10
"""Of events whose texts are to be judged: about 8 ms."""
COMMENT = b": \n\n"
DONE = b"data: [DONE]\n\n"


def event(chunk: object) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + END


def named_event(name: str, chunk: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(chunk))


def data_of(event: bytes) -> bytes:
    """The data of one event, without the words around it; empty if it has none."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    return b"\n".join(data_lines(event)).strip()


def count_of_objects(events: bytes) -> int:
    """How many whole events these are, if each is one line with what may be an object; 0 if not."""
    if not (events.startswith(b"data: {") and events.endswith(b"}\n\n")):
        return 0
    count = events.count(BETWEEN) + 1
    return count if events.count(b"\n") == len(END) * count else 0


def list_of_objects(events: bytes) -> bytes:
    """The data of such events as one JSON list, so that they are decoded by one call."""
    return b"[%b]" % events[len(b"data: ") : -len(END)].replace(BETWEEN, b"},{")


def data_lines(events: bytes) -> Iterator[bytes]:
    """The data of each line that has some."""
    for line in events.split(b"\n"):
        if line.startswith(b"data:"):
            yield line[5:].strip()


class EventSplitter:
    """Whole events of a stream that comes in pieces. `size`: bytes of one that is not whole yet.

    An event of any length is joined once.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._last = b""
        self.size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """Without their ends."""
        self._parts.append(piece)
        self.size += len(piece)
        has_end = END in self._last + piece
        self._last = piece[-1:] or self._last
        if not has_end:
            return []
        *whole, rest = b"".join(self._parts).split(END)
        self._parts = [rest]
        self._last = rest[-1:]
        self.size = len(rest)
        return whole
