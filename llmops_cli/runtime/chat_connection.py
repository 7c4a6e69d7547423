"""Requests over kept connections to one endpoint, on sockets of our own.

A client library takes several times the CPU of all else that a row of a batch needs. No redirect is
followed: a key goes nowhere else. No proxy is used.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Self, cast
from urllib.parse import urlsplit

import msgspec

from llmops_cli.runtime.chat_errors import LOST, NOT_REACHED, Cost, Retry, Unanswered
from llmops_cli.runtime.wire import HttpResponse, ProtocolError, headers_in, request_head

CONNECT_WITHIN_S = 30.0
TIMEOUT = "timeout"
PORTS = {"http": 80, "https": 443}


class HttpReply(msgspec.Struct, frozen=True):
    """`fields`: lines of the head."""

    status: int
    fields: list[bytes]
    body: bytes

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in small letters."""
        return headers_in(self.fields)


class ChatConnection:
    """So many requests at once, the others wait. Use as an async context."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        concurrency: int,
        timeout_s: float,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._is_secure = parts.scheme == "https"
        self._base = parts.path
        self._authority = parts.netloc
        self._headers = tuple(headers.items())
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(concurrency)
        self._heads: dict[str, bytes] = {}
        self._idle: list[_Socket] = []
        self._busy: set[_Socket] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in [*self._idle, *self._busy]:
            each.close()

    async def post(self, path: str, body: bytes) -> HttpReply:
        """Raises: Retry where there is no answer in time, or the connection breaks; Unanswered."""
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = self._head_of(path)
        request = b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
        async with self._turns:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._answered(request)
            except TimeoutError:
                raise Retry(TIMEOUT, cost=Cost.UNKNOWN) from None
            except ProtocolError as error:
                raise Unanswered("protocol", str(error)) from None

    async def _answered(self, request: bytes) -> HttpReply:
        """A kept connection that ends before it says a word had ended already: once more then."""
        while self._idle:
            kept = self._idle.pop()
            if not kept.is_open:
                continue
            try:
                return await self._exchange(kept, request)
            except ConnectionError:
                if kept.was_heard:
                    raise Retry(LOST, cost=Cost.UNKNOWN) from None
        fresh = await self._connected()
        try:
            return await self._exchange(fresh, request)
        except ConnectionError as error:
            raise Retry(LOST, detail=str(error), cost=Cost.UNKNOWN) from None

    async def _exchange(self, sock: _Socket, request: bytes) -> HttpReply:
        """Raises: ConnectionError, ProtocolError."""
        self._busy.add(sock)
        try:
            response = await sock.ask(request)
        except BaseException:
            sock.close()
            raise
        finally:
            self._busy.discard(sock)
        if response.keep_alive and sock.is_open:
            self._idle.append(sock)
        else:
            sock.close()
        return HttpReply(response.status, response.fields, b"".join(response.payloads))

    async def _connected(self) -> _Socket:
        loop = asyncio.get_running_loop()
        secure = _trust() if self._is_secure else None
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                _, sock = await loop.create_connection(_Socket, self._host, self._port, ssl=secure)
        except (OSError, TimeoutError) as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise Unanswered("certificate not trusted", error.verify_message) from None
            raise Retry(NOT_REACHED, detail=str(error)) from None
        return sock

    def _head_of(self, path: str) -> bytes:
        return request_head(
            target=self._base + path,
            host=self._authority,
            headers=self._headers,
        )


@lru_cache(1)
def _trust() -> ssl.SSLContext:
    """Certificates of the machine, which take a while to read."""
    return ssl.create_default_context()


class _Socket(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._response: HttpResponse | None = None
        self._over: asyncio.Future[HttpResponse] | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def was_heard(self) -> bool:
        """Whether anything came of the last answer."""
        return self._response is not None and bool(self._response.first_byte_ns)

    async def ask(self, request: bytes) -> HttpResponse:
        """Raises: ConnectionError, ProtocolError."""
        if self._transport is None:
            raise ConnectionResetError
        self._response = HttpResponse()
        self._over = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._over

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        over = self._over
        response = self._response
        if over is None or over.done() or response is None:
            self.close()  # a server that speaks unasked is not asked again here
            return
        try:
            is_over = response.feed(1, data)
        except ProtocolError as error:
            over.set_exception(error)
            return
        if is_over:
            over.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        over = self._over
        if over is None or over.done():
            return
        if self._response is not None and self._response.closed():
            over.set_result(self._response)
            return
        reason = str(exc) if exc else "closed by the server"
        over.set_exception(ConnectionResetError(reason))
