"""uvicorn's HTTP/1.1 with patience that ends.

For headers that trickle, or grow, and for clients that do not read.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MOST = 64 << 10
TOO_MUCH = "the headers are too large"
OF_HEADER = 32
"""What each counts beside its bytes, as in HTTP/2 (RFC 9113, 6.5.2): thousands of empty ones cost
more than a long one."""
HEAD_END = b"\r\n\r\n"
OFFER = b"\r\nupgrade:"
UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n)", re.IGNORECASE)
CHUNKS_MOST = 4096
CHUNK_LEAST = 16
"""Bytes of a chunk, on average, where there are more than that many: each costs a call."""
SLACK_S = 0.002
"""A loop's clock may be a millisecond behind its timers."""
ON_DISCONNECT = "llmops.on_disconnect"
"""Of a scope: functions that are called when the client leaves."""
WAITING = "llmops.waiting"
"""Of a scope: a context in which a body waits for us, and its time does not run."""


def _refusal(
    status: bytes,
    message: bytes,
    code: bytes,
) -> bytes:
    error = b'{"message":"%b","type":"invalid_request_error","code":"%b"}' % (message, code)
    body = b'{"error":%b}' % error
    lines = (
        b"HTTP/1.1 " + status,
        b"connection: close",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"",
        body,
    )
    return b"\r\n".join(lines)


MALFORMED = _refusal(b"400 Bad Request", b"this is no HTTP/1.1 request", b"bad_request")
TOO_LARGE = _refusal(
    b"431 Request Header Fields Too Large",
    b"the headers are too large",
    b"too_large",
)
TOO_SMALL = _refusal(b"400 Bad Request", b"the body comes in chunks of a few bytes", b"bad_request")
TOO_SLOW = _refusal(b"408 Request Timeout", b"the body did not come in time", b"timeout")


def _without_upgrade(data: bytes) -> bytes:
    """An offer to go on in another protocol, which is not taken up.

    Java's client makes one with its first request (h2c), and the parser would take the body that
    follows for that protocol.
    """
    head, end, rest = data.partition(HEAD_END)
    return UPGRADE.sub(b"", head + end) + rest


def _begin_of_offer(data: bytes) -> int:
    """Where in a part of a head its last line begins, if it may be such an offer; else its end.

    Line ends at its end are held too: nobody knows yet what follows them. Those that HTTP does not
    have are the parser's to refuse.
    """
    line_ends = len(data.rstrip(b"\r\n"))
    if not HEAD_END.startswith(data[line_ends:]):
        return len(data)
    begin = data.rfind(b"\r\n", 0, line_ends)
    if begin < 0:
        return line_ends
    line = data[begin:].lower()
    return begin if line.startswith(OFFER) or OFFER.startswith(line) else line_ends


class CoalescingTransport:
    """Sends an answer's head together with what follows, which halves the system calls."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._unsent = transport.get_write_buffer_size
        self.is_closing = transport.is_closing
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info

    def is_sending(self) -> bool:
        """Whether a client has not taken all of its answer yet."""
        return bool(self._head) or self._unsent() > 0

    def write_whole(self, answer: bytes) -> None:
        """A head and all that follows it."""
        if self._head:
            self._flush()
        self._transport.write(answer)

    def write(self, data: bytes) -> None:
        if self._head:
            data = self._head + data
            self._head = b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def _flush(self) -> None:
        if self._head:
            head = self._head
            self._head = b""
            self._transport.write(head)

    def close(self) -> None:
        self._flush()
        self._transport.close()


class TimedProtocol(HttpToolsProtocol):
    """Each wait for a client has an end.

    `head_s`: from a request's first byte to the end of its headers. `body_s`: from there to the
    end of its body. `unread_s`: that an answer may wait. What is put into a scope's
    `ON_DISCONNECT` is called when the client leaves.

    Beyond `limit_concurrency` who has asked for nothing makes way for who comes, the oldest first:
    else a few thousand sockets that say nothing would keep everybody out, and need no key for it.
    """

    head_s: ClassVar[float] = 10.0
    body_s: ClassVar[float] = 30.0
    unread_s: ClassVar[float] = 60.0
    asking_nothing: ClassVar[dict[TimedProtocol, None]] = {}
    """In the order in which they began to; a head that is not whole asks for nothing yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: uvicorn's own
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._raw_bytes = 0
        self._chunks = 0
        self._body_bytes = 0
        self._held = b""
        self._heading = True
        self._waits_for_us = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle_by = 0.0
        self._on_disconnect: set[Callable[[], None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._make_room()
        self.asking_nothing[self] = None
        self.transport = cast("asyncio.Transport", CoalescingTransport(transport, self.loop))
        self._timer = self.loop.call_later(self.head_s, self._give_up)

    def _make_room(self) -> None:
        """Whoever still takes an answer has asked for something."""
        most = self.limit_concurrency
        while most is not None and len(self.connections) >= most:
            idle = (each for each in self.asking_nothing if not each.is_sending())
            oldest = next(idle, None)
            if oldest is None:
                return
            del self.asking_nothing[oldest]
            self.connections.discard(oldest)
            oldest.transport.abort()

    def is_sending(self) -> bool:
        return cast("CoalescingTransport", self.transport).is_sending()

    def data_received(self, data: bytes) -> None:
        """Most requests come whole, and need no timer."""
        if not self._is_amid_body():
            data = self._without_offers(data)
            if not data:
                return
        super().data_received(data)
        if self._heading:
            if self.transport.is_closing():
                return
            if self._timer is None:
                self._timer = self.loop.call_later(self.head_s, self._give_up)
            self._raw_bytes += len(data)
            if self._raw_bytes > 2 * HEAD_MOST:  # one header that never ends is told to nobody
                self._head_bytes = self._raw_bytes
                self.send_400_response("")
        else:
            self._time_body()

    def _time_body(self) -> None:
        if self._timer is not None or self._waits_for_us or self.cycle is None:
            return
        if self.cycle.more_body and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.body_s, self._too_slow)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """A body has its time anew behind it: its client did not take that long."""
        self._waits_for_us = True
        self._done()
        try:
            yield
        finally:
            self._waits_for_us = False
            self._time_body()

    def _without_offers(self, data: bytes) -> bytes:
        """A line that may become an offer waits for the rest of it."""
        data = self._held + data
        self._held = b""
        end = data.find(HEAD_END)
        if OFFER in (data if end < 0 else data[:end]).lower():
            data = _without_upgrade(data)
        if end >= 0:
            return data
        end = _begin_of_offer(data)
        if len(data) - end > HEAD_MOST:
            self._head_bytes = len(data)
            self.send_400_response("")
            return b""
        self._held = data[end:]
        return data[:end]

    def _is_amid_body(self) -> bool:
        return not self._heading and self.cycle is not None and bool(self.cycle.more_body)

    def send_400_response(self, msg: str) -> None:
        """What the parser cannot read, or what we stopped it at."""
        del msg
        self._done()
        if self._head_bytes > HEAD_MOST:
            self.transport.write(TOO_LARGE)
        else:
            self.transport.write(TOO_SMALL if self._is_crumbled() else MALFORMED)
        self.transport.close()

    # -- the parser's callbacks: an exception ends the parsing, then comes send_400_response

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[ON_DISCONNECT] = self._on_disconnect  # type: ignore[literal-required]
        self.scope[WAITING] = self._waiting  # type: ignore[literal-required]
        self._heading = True
        self._head_bytes = 0
        self._raw_bytes = 0
        self._chunks = 0
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        if self._head_bytes > HEAD_MOST:
            raise ValueError(TOO_MUCH)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """uvicorn's, without a second call for each header.

        What comes behind a body (trailers) is none: it was not there when a proxy in front added
        its own headers, and only of a request that comes in one piece would it be read.
        """
        self._head_bytes += len(name) + len(value) + OF_HEADER
        if self._head_bytes > HEAD_MOST:
            raise ValueError(TOO_MUCH)
        if not self._heading:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.asking_nothing.pop(self, None)
        self._heading = False
        self._done()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A megabyte in chunks of a byte takes half a second, with a key or without."""
        self._chunks += 1
        self._body_bytes += len(body)
        if self._is_crumbled():
            raise ValueError("crumbs")
        super().on_body(body)

    def _is_crumbled(self) -> bool:
        return self._chunks > CHUNKS_MOST and self._body_bytes < CHUNK_LEAST * self._chunks

    def on_message_complete(self) -> None:
        """Reading goes on, which is how a client's leaving is seen.

        uvicorn stopped it in the middle of a large body, and the application asks for no more.
        """
        self._done()
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()

    # -- between requests: one timer for all of a connection's waits, where uvicorn has one for each

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self.asking_nothing[self] = None
        self._idle_by = self.loop.time() + self.timeout_keep_alive
        if self.timeout_keep_alive_task is None:
            self._look_again_in(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        """Something has come: nobody is idle."""
        self._idle_by = 0.0

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self._look_whether_idle)

    def _look_whether_idle(self) -> None:
        self.timeout_keep_alive_task = None
        if not self._idle_by:
            return
        left_s = self._idle_by - self.loop.time()
        if left_s > 0:
            self._look_again_in(left_s + SLACK_S)
        else:
            self.timeout_keep_alive_handler()

    # -- the connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()
        self.asking_nothing.pop(self, None)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        super().connection_lost(exc)
        for tell in list(self._on_disconnect):
            tell()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._done()
        self._timer = self.loop.call_later(self.unread_s, self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._done()

    def _done(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self.transport is not None and not self.transport.is_closing():
            if not self.cycle.response_started:
                self.transport.write(TOO_SLOW)
            self.transport.close()

    def _give_up(self) -> None:
        self._timer = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()
