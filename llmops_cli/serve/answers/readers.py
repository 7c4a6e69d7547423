"""Answers on their way back: tokens counted, and the guard's say over what they contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llmops_cli.serve.answers.choices_stream import ChoicesStream
from llmops_cli.serve.answers.dialects.sse import data_lines
from llmops_cli.serve.answers.guarded_events import GuardedEvents
from llmops_cli.serve.answers.usage import usage_in
from llmops_cli.serve.context import GuardVerdict, Usage
from llmops_cli.serve.endpoints import Endpoint

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

TAIL_BYTES = 64 << 10


class StreamReader(Protocol):
    """One streamed answer of an upstream."""

    @property
    def usage(self) -> Usage: ...

    @property
    def verdict(self) -> GuardVerdict | None: ...

    def feed(self, piece: bytes) -> bytes:
        """What of it may go on now. Raises: UpstreamError for what is malformed."""

    def finish(self) -> bytes:
        """What was held back at the end. Raises: UpstreamError if this was not the end."""

    def estimate(self) -> None:
        """An upstream that did not count: its events stand for tokens."""

    def whole(self) -> bytes | None:
        """The answer as one object, for the cache; None if it is not to be kept."""


def stream_reader(
    endpoint: Endpoint,
    guard: Guard | None,
    *,
    hides_usage: bool,
    keeps: bool,
) -> StreamReader:
    """`hides_usage`: the client did not ask for the count that we did ask for."""
    if endpoint.choices is not None:
        return ChoicesStream(
            endpoint.path,
            endpoint.choices,
            guard,
            hides_usage=hides_usage,
            keeps=keeps,
        )
    if guard is not None:
        return GuardedEvents(guard, endpoint.path)
    return OpaqueStream()


class OpaqueStream:
    """Passes as it comes; its end may tell the tokens."""

    def __init__(self) -> None:
        self.usage = Usage()
        self._tail = b""
        self._events = 0

    @property
    def verdict(self) -> GuardVerdict | None:
        return None

    def feed(self, piece: bytes) -> bytes:
        self._tail = (self._tail + piece)[-TAIL_BYTES:]
        self._events += piece.count(b"data:")
        return piece

    def finish(self) -> bytes:
        for data in data_lines(self._tail):
            if b'"usage"' in data:
                self.usage = usage_in(data) or self.usage
        self.estimate()
        return b""

    def estimate(self) -> None:
        if not self.usage.output_tokens:
            self.usage.output_tokens = max(0, self._events - 2)

    def whole(self) -> bytes | None:
        return None
