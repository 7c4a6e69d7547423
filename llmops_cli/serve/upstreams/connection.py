"""HTTP/1.1 to one origin: pooled connections, four timeouts, and a body that passes through as it
comes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol, cast
from urllib.parse import urlsplit

import httptools

HELD_MOST = 256 << 10
"""Bytes that wait for a slow client before the upstream is paused."""
IDLE_MOST = 128
WHOLE_MOST = 64 << 20
"""Bytes of an answer that is not streamed."""
HEADERS_MOST = 200


class Timeouts(Protocol):
    """Seconds: to connect, to the first byte of the body, between two pieces of it, and in all."""

    @property
    def connect_s(self) -> float: ...
    @property
    def first_byte_s(self) -> float: ...
    @property
    def between_s(self) -> float: ...
    @property
    def total_s(self) -> float: ...


class UpstreamError(Exception):
    """No answer, or half of one."""


class UpstreamTimeout(UpstreamError):
    """It took too long, and would again."""


class ConnectTimeout(UpstreamTimeout):
    def __init__(self) -> None:
        super().__init__("the upstream cannot be reached: it does not accept connections")


class FirstByteTimeout(UpstreamTimeout):
    def __init__(self) -> None:
        super().__init__("the upstream did not answer in time")


class ReadTimeout(UpstreamTimeout):
    """Nothing came for too long in the middle of an answer."""

    def __init__(self) -> None:
        super().__init__("the upstream stalled")


class TotalTimeout(UpstreamTimeout):
    def __init__(self) -> None:
        super().__init__("the answer took too long")


class ConnectFailed(UpstreamError):
    def __init__(self, why: object) -> None:
        super().__init__(f"the upstream cannot be reached: {why}")


class ConnectionLost(UpstreamError):
    """In the middle of an answer, or before it."""

    def __init__(self, why: Exception | None) -> None:
        if why is None:
            super().__init__("the connection was closed")
        else:
            super().__init__(f"the connection broke: {why}")


class UpstreamDown(UpstreamError):
    """Its checks failed while it was waited for."""

    def __init__(self) -> None:
        super().__init__("the upstream is down")


class MalformedAnswer(UpstreamError):
    def __init__(self, why: object) -> None:
        super().__init__(f"malformed answer: {why}")


class _Wire(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self.reset()

    def reset(self) -> None:
        self.status = 0
        self.headers = list[tuple[bytes, bytes]]()
        self.pieces: deque[bytes] = deque()
        self.held = 0
        self.complete = False
        self.broken: UpstreamError | None = None
        self.headed = False
        self.begun = False
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self.paused = False
        self._kept = False
        self.last = asyncio.get_running_loop().time()

    # -- asyncio.Protocol
    # ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self.complete:  # more than was promised: not to be used again
            self.close()
            return
        self.last = asyncio.get_running_loop().time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.broken = MalformedAnswer(error)
            self.close()
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.complete and not self.broken:
            if self.headed and self._until_close():
                self.complete = True
            else:
                self.broken = ConnectionLost(exc)
        self._wake()

    def _until_close(self) -> bool:
        names = {name for name, _ in self.headers}
        return b"content-length" not in names and b"transfer-encoding" not in names

    # -- httptools' callbacks
    # --------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))
        if len(self.headers) > HEADERS_MOST:
            self.broken = MalformedAnswer("too many headers")
            self.close()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self.headers.clear()
            return
        self.headed = True

    def on_body(self, body: bytes) -> None:
        self.begun = True
        self.pieces.append(body)
        self.held += len(body)
        if self.held > HELD_MOST and not self.paused and self.transport is not None:
            self.paused = True
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self.complete = True
            self._kept = self._parser.should_keep_alive()

    # -- for the exchange
    # ------------------------------------------------------------------------------

    def taken(self, size: int) -> None:
        self.held -= size
        if (
            self.paused
            and self.held < HELD_MOST // 2
            and self.transport is not None
            and not self.closed
        ):
            self.paused = False
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
        if (
            not self.complete
            or self.closed
            or self.transport is None
            or self.transport.is_closing()
        ):
            return False
        return self._kept

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Reply:
    """An answer whose head is there. Leaving it before its end closes the connection: the upstream
    should stop.
    """

    def __init__(
        self, wire: _Wire, timeouts: Timeouts, *, first_by: float, deadline: float
    ) -> None:
        self._wire = wire
        self._timeouts = timeouts
        self._first_by = first_by
        self._deadline = deadline
        self.status = wire.status
        self.headers = wire.headers
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._watch()

    def _watch(self) -> None:
        """One timer for the whole answer, which is cheaper than one for each piece."""
        wire = self._wire
        now = self._loop.time()
        if wire.complete or wire.broken:
            return
        next_by = (
            now + self._timeouts.between_s if wire.paused else wire.last + self._timeouts.between_s
        )
        if not wire.begun:
            next_by = self._first_by
        if now >= self._deadline:
            wire.stop(TotalTimeout())
        elif now >= next_by:
            wire.stop(ReadTimeout() if wire.begun else FirstByteTimeout())
        else:
            self._timer = self._loop.call_later(
                min(next_by, self._deadline) - now + 0.01, self._watch
            )

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What has come, joined, each time something has. Raises: UpstreamError if it breaks
        off.
        """
        wire = self._wire
        while True:
            if wire.pieces:
                piece = wire.pieces.popleft() if len(wire.pieces) == 1 else b"".join(wire.pieces)
                wire.pieces.clear()
                wire.taken(len(piece))
                yield piece
                continue
            if wire.complete:
                return
            if wire.broken:
                raise wire.broken
            await wire.wait()

    async def begun(self) -> None:
        """Until the body has begun, or has ended. Raises: UpstreamError."""
        wire = self._wire
        while not (wire.pieces or wire.complete):
            if wire.broken:
                raise wire.broken
            await wire.wait()

    def peek(self) -> bytes:
        """What has come and was not taken."""
        pieces = self._wire.pieces
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def more(self) -> bool:
        """Until more has come; False at the end. Raises: UpstreamError."""
        wire = self._wire
        count = len(self._wire.pieces)
        while len(wire.pieces) == count:
            if wire.complete:
                return False
            if wire.broken:
                raise wire.broken
            await wire.wait()
        return True

    async def read(self) -> bytes:
        """The whole body. Raises: UpstreamError."""
        parts = []
        size = 0
        async for piece in self.pieces():
            parts.append(piece)
            size += len(piece)
            if size > WHOLE_MOST:
                raise MalformedAnswer("it does not end")
        return b"".join(parts)


class Origin:
    """One address, such as http://127.0.0.1:9000/v1."""

    def __init__(self, url: str, *, timeouts: Timeouts, key: str | None = None) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._base = parts.path.rstrip("/")
        self._timeouts = timeouts
        self._idle = deque[_Wire]()
        self._waiting: set[_Wire] = set()
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._head = f"Host: {host}:{self._port}\r\nConnection: keep-alive\r\n".encode()
        if key:
            self._head += f"Authorization: Bearer {key}\r\n".encode()

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: list[tuple[bytes, bytes]],
        *,
        within_s: float | None = None,
    ) -> Reply:
        """The answer's head. Pooled connections that had died are replaced, since nothing was
        answered on them.

        Raises: UpstreamError.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        total_s = (
            self._timeouts.total_s if within_s is None else min(within_s, self._timeouts.total_s)
        )
        first_by = start + min(self._timeouts.first_byte_s, total_s)
        more = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        request = b"%s %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (
            method.encode(),
            self._target(path),
            self._head,
            more,
            len(body),
            body,
        )
        while True:
            wire, fresh = await self._connection()
            wire.reset()
            self._waiting.add(wire)
            timer = loop.call_at(first_by, wire.stop, FirstByteTimeout())
            try:
                assert wire.transport is not None
                wire.transport.write(request)
                while not wire.headed and not wire.broken:
                    await wire.wait()
            except BaseException:
                wire.close()
                raise
            finally:
                timer.cancel()
                self._waiting.discard(wire)
            if wire.headed:
                return Reply(wire, self._timeouts, first_by=first_by, deadline=start + total_s)
            wire.close()
            assert wire.broken is not None
            if fresh or wire.status or isinstance(wire.broken, UpstreamTimeout):
                raise wire.broken

    def _target(self, path: str) -> bytes:
        """As OpenAI's clients have it: a base address with a path stands for /v1."""
        return f"{self._base}{path.removeprefix('/v1')}".encode() if self._base else path.encode()

    async def _connection(self) -> tuple[_Wire, bool]:
        while self._idle:
            wire = self._idle.pop()
            if not wire.closed and wire.transport is not None and not wire.transport.is_closing():
                return wire, False
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.connect_s):
                _, wire = await loop.create_connection(
                    _Wire, self._host, self._port, ssl=self._secure or None
                )
        except TimeoutError:
            raise ConnectTimeout from None
        except OSError as error:
            raise ConnectFailed(error.strerror or error) from None
        return wire, True

    def release(self, reply: Reply) -> None:
        """Back to the pool after a whole answer, else closed."""
        wire = reply._wire
        reply.close()
        if wire.reusable and len(self._idle) < IDLE_MOST:
            self._idle.append(wire)
        else:
            wire.close()

    def abandon(self) -> None:
        """Requests that wait for their answer's head fail now."""
        for wire in list(self._waiting):
            wire.stop(UpstreamDown())

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
