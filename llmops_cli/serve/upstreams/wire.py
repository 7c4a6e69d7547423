"""One HTTP/1.1 connection to an upstream, read as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.upstreams.errors import ConnectionLost, MalformedAnswer, UpstreamError
from llmops_cli.serve.upstreams.event_lines import EVENT_STREAM, EventLines
from llmops_cli.serve.upstreams.patience import Patience
from llmops_cli.serve.upstreams.unpack import Unpacker

HELD_MOST = 256 << 10
"""Bytes that wait for a slow client before the upstream is paused."""
HEADERS_MOST = 200
OK = 200
HEAD_BYTES_MOST = 256 << 10


class AnswerTranslation(Protocol):
    """Of one answer in another dialect, as a chat's upstream would have told it."""

    def whole(self, status: int, body: bytes) -> bytes:
        """A whole answer, or an error."""

    def feed(self, events: bytes) -> bytes:
        """What these mean, which may be nothing yet. Raises: UpstreamError."""

    def so_far(self) -> bytes:
        """What its events have told of tokens, as an event of a chat has it; or nothing."""

    def finish(self) -> bytes:
        """At the end of what came. Raises: UpstreamError if it was not the answer's end."""


class Wire(asyncio.Protocol):
    """One connection, one exchange at a time. `translation`: of what is answered."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._patience: Patience | None = None
        self._come: list[bytes] = []
        self.on_body = self._come.append
        self.reset()

    def reset(self, translation: AnswerTranslation | None = None) -> None:
        self.translation = translation
        self.status = 0
        self.headers: Headers = []
        self.chunks: deque[bytes] = deque()
        self.held = 0
        self.complete = False
        self.broken: UpstreamError | None = None
        self.headed = False
        self.begun = False
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self.paused = False
        self.was_paused = False
        self.content_type = b""
        self._unpacker: Unpacker | None = None
        self._lines: EventLines | None = None
        self._come.clear()
        self._translated: AnswerTranslation | None = None
        self._head_bytes = 0
        self._kept = False
        self.last = asyncio.get_running_loop().time()

    # One timer for all the answers that are waited for, since nearly all of them come in time.

    def await_head(self, patience: Patience) -> None:
        """An answer that has not begun by then is late."""
        self._patience = patience
        if self._timer is None or patience.first_by < self._timer_at:
            self._look_at(patience.first_by)

    def has_head(self) -> None:
        self._patience = None

    def _look_at(self, by: float) -> None:
        self._forget_timer()
        self._timer_at = by
        self._timer = asyncio.get_running_loop().call_at(by, self._look)

    def _look(self) -> None:
        self._timer = None
        patience = self._patience
        if patience is None:
            return
        by = patience.first_by
        if self._timer_at < by:
            self._look_at(by)
        else:
            self.stop(patience.passed_at(by))

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is no subclass of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.complete:  # more than was promised: not to be used again
            self.close()
            return
        self.last = asyncio.get_running_loop().time()
        try:
            self._parser.feed_data(data)
            self._take_come()
        except httptools.HttpParserUpgrade:
            self._break(MalformedAnswer("it changes to another protocol"))
        except httptools.HttpParserError as error:
            self._break(MalformedAnswer(error))
        if not self.headed:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MOST:
                self._break(MalformedAnswer("its head does not end"))
        self._wake()

    def _break(self, why: UpstreamError) -> None:
        """What had come before is still good."""
        self._take_come()
        if self.broken is None:
            self.broken = why
        self.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._forget_timer()
        if self.complete or self.broken:
            pass
        elif self.headed and self._ends_with_connection():
            self._end()
        else:
            self.broken = ConnectionLost(exc)
        self._wake()

    def _ends_with_connection(self) -> bool:
        names = {name for name, _ in self.headers}
        return b"content-length" not in names and b"transfer-encoding" not in names

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self._break(MalformedAnswer("more follows than was promised"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.complete:
            return
        self.headers.append((name.lower(), value))
        if len(self.headers) > HEADERS_MOST:
            self._break(MalformedAnswer("too many headers"))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self.headers.clear()
            return
        self.headed = True
        for name, value in self.headers:
            if name == b"content-type":
                self.content_type = value.lower()
            elif name == b"content-encoding":
                self._unpacks(value)
        if self.content_type.startswith(EVENT_STREAM):
            self._lines = EventLines()
            if self.status == OK:
                self._translated = self.translation

    def _unpacks(self, encoding: bytes) -> None:
        if encoding.strip().lower() in (b"", b"identity"):
            return
        try:
            self._unpacker = Unpacker(encoding)
        except MalformedAnswer as error:
            self._break(error)

    # A stream's read has a hundred pieces, one for each token: `on_body` of the parser does nothing
    # but put them into a list of C, and they are looked at together.

    def _take_come(self) -> None:
        if not self._come:
            return
        come = tuple(self._come)
        self._come.clear()
        if self.complete or self.broken:
            return
        self.begun = True
        if self._unpacker is None and self._translated is None:
            body = come[0] if len(come) == 1 else b"".join(come)
            self._hold(body if self._lines is None else self._lines.feed(body))
            return
        for body in come:
            if self.broken:
                return
            self._hold(self._meant(body))

    def _meant(self, body: bytes) -> bytes:
        """A piece of a body that is packed, or in another dialect."""
        if self._unpacker is not None:
            body = self._unpacked(self._unpacker, body)
        if self._lines is not None:
            body = self._lines.feed(body)
        if self._translated is not None:
            body = self._in_chat(self._translated.feed, body)
        return body

    def _in_chat(self, translate: Callable[..., bytes], *events: bytes) -> bytes:
        try:
            return translate(*events)
        except UpstreamError as error:
            self._break(error)
            return b""

    def _hold(self, body: bytes) -> None:
        if not body:
            return
        self.chunks.append(body)
        self.held += len(body)
        if self.held > HELD_MOST and not self.paused and self.transport is not None:
            self.paused = True
            self.was_paused = True
            self.transport.pause_reading()

    def _unpacked(self, unpacker: Unpacker, body: bytes) -> bytes:
        try:
            return unpacker.feed(body)
        except UpstreamError as error:
            self._break(error)
            return b""

    def on_message_complete(self) -> None:
        self._take_come()
        if self.status >= 200 and not self.complete and not self.broken:
            self._end()
            self._kept = self._parser.should_keep_alive()

    def _end(self) -> None:
        """All of it has come."""
        if self._unpacker is not None and not self._unpacker.is_whole:
            self._break(MalformedAnswer("it was packed, and is cut"))
            return
        if self._translated is not None:
            self._hold(self._in_chat(self._translated.finish))
        if not self.broken:
            self.complete = True

    # For the one exchange.

    def took(self, size: int) -> None:
        self.held -= size
        if not self.paused or self.closed or self.held >= HELD_MOST // 2:
            return
        if self.transport is not None:
            self.paused = False
            self.last = asyncio.get_running_loop().time()  # it could not send meanwhile
            self.transport.resume_reading()

    async def wait(self) -> None:
        """Until something has come, or will not."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def stop(self, why: UpstreamError) -> None:
        self.broken = why
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def reusable(self) -> bool:
        """Also not where part of the request is unsent: it was answered early."""
        if not self.complete or not self._kept or self.broken or not self.is_open:
            return False
        assert self.transport is not None
        return self.transport.get_write_buffer_size() == 0

    @property
    def was_heard(self) -> bool:
        """Whether a byte of an answer has come."""
        return self.headed or self._head_bytes > 0

    @property
    def is_open(self) -> bool:
        if self.closed or self.transport is None:
            return False
        return not self.transport.is_closing()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
