"""HTTP/1.1 to one origin: a pool of connections, and four timeouts."""

from __future__ import annotations

import asyncio
from collections import deque
from urllib.parse import urlsplit

from llmops_cli.gateway_file.upstream import TimeoutsConfig
from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.upstreams.errors import (
    ConnectFailed,
    ConnectTimeout,
    FirstByteTimeout,
    UpstreamDown,
    UpstreamTimeout,
)
from llmops_cli.serve.upstreams.reply import Reply
from llmops_cli.serve.upstreams.wire import Wire

IDLE_MOST = 128


class Origin:
    """One address, such as http://127.0.0.1:9000/v1."""

    def __init__(
        self,
        url: str,
        *,
        timeouts: TimeoutsConfig,
        key: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._base = parts.path.rstrip("/")
        self._timeouts = timeouts
        self._idle = deque[Wire]()
        self._waiting: set[Wire] = set()
        self._head = self._fixed_headers(key)

    def _fixed_headers(self, key: str | None) -> bytes:
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = [f"Host: {host}:{self._port}", "Connection: keep-alive"]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        return "".join(f"{line}\r\n" for line in lines).encode()

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Headers,
        *,
        within_s: float | None = None,
    ) -> Reply:
        """The answer, once its head is there.

        A pooled connection that had died is replaced, since nothing was answered on it.
        Raises: UpstreamError.
        """
        start = asyncio.get_running_loop().time()
        total_s = self._timeouts.total_s
        if within_s is not None:
            total_s = min(within_s, total_s)
        first_by = start + min(self._timeouts.first_byte_s, total_s)
        request = self._request(method, path, body, headers)
        while True:
            wire, is_fresh = await self._connection()
            await self._send(wire, request, first_by)
            if wire.headed:
                return Reply(
                    wire,
                    between_s=self._timeouts.between_s,
                    first_by=first_by,
                    deadline=start + total_s,
                )
            wire.close()
            assert wire.broken is not None
            if is_fresh or wire.status or isinstance(wire.broken, UpstreamTimeout):
                raise wire.broken

    def _request(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Headers,
    ) -> bytes:
        return b"%s %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (
            method.encode(),
            self._target(path),
            self._head,
            b"".join([b"%s: %s\r\n" % header for header in headers]),
            len(body),
            body,
        )

    async def _send(
        self,
        wire: Wire,
        request: bytes,
        first_by: float,
    ) -> None:
        """Until the answer's head is there, or the connection is broken."""
        wire.reset()
        self._waiting.add(wire)
        loop = asyncio.get_running_loop()
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

    def _target(self, path: str) -> bytes:
        """As OpenAI's clients have it: a base address with a path stands for /v1."""
        if self._base:
            path = self._base + path.removeprefix("/v1")
        return path.encode()

    async def _connection(self) -> tuple[Wire, bool]:
        """One from the pool, or a fresh one (True)."""
        while self._idle:
            wire = self._idle.pop()
            if wire.is_open:
                return wire, False
        return await self._connect(), True

    async def _connect(self) -> Wire:
        """Raises: UpstreamError."""
        loop = asyncio.get_running_loop()
        secure = self._secure or None
        try:
            async with asyncio.timeout(self._timeouts.connect_s):
                connecting = loop.create_connection(Wire, self._host, self._port, ssl=secure)
                _, wire = await connecting
        except TimeoutError:
            raise ConnectTimeout from None
        except OSError as error:
            raise ConnectFailed(error.strerror or error) from None
        return wire

    def release(self, reply: Reply) -> None:
        """Back to the pool after a whole answer, else closed."""
        wire = reply.wire
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
