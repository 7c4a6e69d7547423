"""uvicorn's HTTP/1.1 with patience that ends: for headers that trickle, or grow, and for clients that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MOST = 64 << 10
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b'content-length: 72\r\n\r\n{"error":{"message":"the headers are too large","code":"too_large"}}    '
)
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b'content-length: 71\r\n\r\n{"error":{"message":"the body did not come in time","code":"timeout"}} '
)
LEFT = "llmops.left"


class Patient(HttpToolsProtocol):
    """`head_s`: from a request's first byte to the end of its headers. `body_s`: from there to the end of its body.
    `unread_s`: that an answer may wait. What is put into a scope's `LEFT` is called when the client leaves."""

    head_s: ClassVar[float] = 10.0
    body_s: ClassVar[float] = 30.0
    unread_s: ClassVar[float] = 60.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: uvicorn's own
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._heading = True
        self._left: set[Callable[[], None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.head_s, self._give_up)

    def data_received(self, data: bytes) -> None:
        if self._heading:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._heading and self._head_bytes > HEAD_MOST and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self._done()
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[LEFT] = self._left  # type: ignore[literal-required]
        self._heading, self._head_bytes = True, 0
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_s, self._give_up)

    def on_headers_complete(self) -> None:
        self._heading = False
        self._done()
        self._timer = self.loop.call_later(self.body_s, self._too_slow)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._done()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()
        super().connection_lost(exc)
        for leave in list(self._left):
            leave()

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
                self.transport.write(_TOO_SLOW)
            self.transport.close()

    def _give_up(self) -> None:
        self._timer = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()
