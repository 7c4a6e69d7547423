"""Answers on their way back: tokens counted, and the guard's say over what they contain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from llmops_cli.serve.answers.choices_stream import ChoicesStream
from llmops_cli.serve.answers.guarded_events import GuardedEvents
from llmops_cli.serve.answers.usage import UsageEvents
from llmops_cli.serve.context import GuardVerdict, Usage
from llmops_cli.serve.endpoints import RESPONSES, Endpoint
from llmops_cli.serve.upstreams.errors import EndedEarly, ErrorInStream

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard


LAST = re.compile(
    rb'"type": ?"response\.(?:completed|failed|incomplete)"'
    rb'|data: ?\{[^{}\[]{0,40}"type": ?"error"'
)
"""Of a response's last event. In a text these quotes would be escaped, and what lies deeper is of
something else, such as metadata of the client."""
LAST_MOST = 64


class StreamReader(Protocol):
    """One streamed answer of an upstream. `kept_bytes`: that `whole` is made of."""

    kept_bytes: int

    @property
    def usage(self) -> Usage: ...

    @property
    def verdict(self) -> GuardVerdict | None: ...

    @property
    def has_ended(self) -> bool:
        """Whether it said so: what follows is no part of the answer."""

    @property
    def failure(self) -> ErrorInStream | None:
        """What it told of itself as its end, which the client has read."""

    def feed(self, piece: bytes) -> bytes:
        """What of it may go on now. Raises: UpstreamError for what is malformed."""

    def is_heavy(self, piece: bytes) -> bool:
        """Whether a guard would keep the loop waiting over what this piece makes whole."""

    def finish(self) -> bytes:
        """What was held back at the end. Raises: UpstreamError if this was not the end."""

    def estimate(self) -> None:
        """An upstream that did not count: what it said stands for tokens."""

    def hear(self, data: bytes) -> None:
        """What its upstream has told of its tokens besides: `usage`, as in an event."""

    def whole(self) -> bytes | None:
        """The answer as one object, for the cache; None if it is not to be kept."""


def stream_reader(
    endpoint: Endpoint,
    guard: Guard | None,
    *,
    count: int = 1,
    hides_usage: bool,
    keeps: bool,
) -> StreamReader:
    """`count`: of choices. `hides_usage`: we asked for the count of tokens, and not the client."""
    if endpoint.choices is not None:
        return ChoicesStream(
            endpoint.path,
            endpoint.choices,
            guard,
            count=count,
            hides_usage=hides_usage,
            keeps=keeps,
        )
    if guard is not None:
        return GuardedEvents(guard, endpoint.path)
    return OpaqueStream(LAST if endpoint is RESPONSES else None)


class OpaqueStream:
    """Passes as it comes; its events may tell the tokens. `last`: what stands in its last one."""

    kept_bytes = 0

    def __init__(self, last: re.Pattern[bytes] | None = None) -> None:
        self._counted = UsageEvents()
        self._last = last
        self._tail = b""
        self._has_last = False

    @property
    def has_ended(self) -> bool:
        return self._has_last and not self._counted.is_amid_event

    @property
    def failure(self) -> ErrorInStream | None:
        return self._counted.failure

    @property
    def usage(self) -> Usage:
        return self._counted.usage

    @property
    def verdict(self) -> GuardVerdict | None:
        return None

    def is_heavy(self, piece: bytes) -> bool:
        del piece
        return False

    def feed(self, piece: bytes) -> bytes:
        self._counted.feed(piece)
        if self._last is not None:
            self._look_for_last(self._last, piece)
        return piece

    def _look_for_last(self, last: re.Pattern[bytes], piece: bytes) -> None:
        """It may lie across two pieces."""
        if last.search(self._tail + piece) is not None:
            self._last = None
            self._has_last = True
        self._tail = (self._tail + piece)[-LAST_MOST:]

    def finish(self) -> bytes:
        self._counted.finish()
        if self._last is not None:
            raise EndedEarly
        return b""

    def estimate(self) -> None:
        self._counted.estimate()

    def hear(self, data: bytes) -> None:
        self._counted.hear(data)

    def whole(self) -> bytes | None:
        return None
