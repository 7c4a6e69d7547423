"""HTTP/1.1 to one origin: a pool of connections, and four timeouts."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from functools import lru_cache

from llmops_cli.gateway_file.credentials import Credentials
from llmops_cli.gateway_file.upstream import TimeoutsConfig
from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.upstreams.errors import (
    BodyRefused,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    KeptConnectionLost,
    UpstreamDown,
)
from llmops_cli.serve.upstreams.patience import Patience
from llmops_cli.serve.upstreams.reply import Reply
from llmops_cli.serve.upstreams.request_head import NO_CREDENTIALS, RequestHead
from llmops_cli.serve.upstreams.wire import AnswerTranslation, Wire

IDLE_MOST = 128
ENDED_WITHIN_S = 1.0
"""A kept connection that ends so soon was ending already; later, the request was worked on."""
LARGE_BYTES = 1 << 20
"""Under a body of this size an upstream may hang up on what is too large for it."""


@lru_cache(1)
def _trust() -> ssl.SSLContext:
    """Certificates of the machine, which take a while to read."""
    return ssl.create_default_context()


class Origin:
    """One address, such as http://127.0.0.1:9000/v1."""

    def __init__(
        self,
        url: str,
        *,
        timeouts: TimeoutsConfig,
        credentials: Credentials = NO_CREDENTIALS,
        called: str = "",
    ) -> None:
        """`called`: what the host at an address is called, to TLS too."""
        self._url = url
        self._called = called
        self._timeouts = timeouts
        self._idle = deque[Wire]()
        self._waiting: set[Wire] = set()
        self._head = RequestHead(url, credentials, called=called)

    def renew(self, credentials: Credentials) -> None:
        """From the next request on."""
        self._head = RequestHead(self._url, credentials, called=self._called)

    @property
    def secret_digests(self) -> set[bytes]:
        """SHA-256 of what it is sent beside requests."""
        return self._head.secret_digests

    def hides(self, body: bytes) -> bytes:
        """An error's body as clients may see it."""
        return self._head.hides(body)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Headers,
        *,
        model: str = "",
        within_s: float | None = None,
        fresh: bool = False,
        translation: AnswerTranslation | None = None,
    ) -> Reply:
        """The answer, once its head is there. It is sent once.

        `model`: for an address that holds its name. `within_s`: the client's own limit. `fresh`:
        on no connection that was kept. `translation`: of an answer in another dialect.
        Raises: UpstreamError; KeptConnectionLost where it is worth sending again, `fresh`.
        """
        patience = self._patience(within_s)
        request = self._head.request(method, path, body, headers, model=model)
        wire = None if fresh else self._kept()
        is_kept = wire is not None
        if wire is None:
            wire = await self._connect(patience)
        sent_at = asyncio.get_running_loop().time()
        await self._send(wire, request, patience, translation)
        if wire.headed and not wire.broken:
            return Reply(wire, patience)
        wire.close()
        assert wire.broken is not None
        if type(wire.broken) is not ConnectionLost or wire.was_heard:
            raise wire.broken
        waited_s = asyncio.get_running_loop().time() - sent_at
        raise self._loss(wire.broken, len(body), waited_s=waited_s, is_kept=is_kept)

    def _patience(self, within_s: float | None) -> Patience:
        now = asyncio.get_running_loop().time()
        timeouts = self._timeouts
        total_s = timeouts.total_s
        is_clients = within_s is not None and within_s < total_s
        if within_s is not None and is_clients:
            total_s = within_s
        return Patience(
            now + min(timeouts.first_byte_s, total_s),
            now + total_s,
            timeouts.between_s,
            is_clients,
        )

    def _loss(
        self,
        lost: ConnectionLost,
        size: int,
        *,
        waited_s: float,
        is_kept: bool,
    ) -> ConnectionLost:
        """What it means that not a byte of an answer came."""
        if is_kept and waited_s < ENDED_WITHIN_S:
            self.close()  # the others that were kept are as old
            return KeptConnectionLost()
        if size > LARGE_BYTES:
            return BodyRefused()
        return lost

    async def _send(
        self,
        wire: Wire,
        request: bytes,
        patience: Patience,
        translation: AnswerTranslation | None,
    ) -> None:
        """Until the answer's head is there, or the connection is broken."""
        wire.reset(translation)
        self._waiting.add(wire)
        wire.await_head(patience)
        try:
            assert wire.transport is not None
            wire.transport.write(request)
            while not wire.headed and not wire.broken:
                await wire.wait()
        except BaseException:
            wire.close()
            raise
        finally:
            wire.has_head()
            self._waiting.discard(wire)

    def _kept(self) -> Wire | None:
        """A connection that an earlier answer has left open."""
        while self._idle:
            wire = self._idle.pop()
            if wire.is_open:
                return wire
        return None

    async def _connect(self, patience: Patience) -> Wire:
        """Raises: UpstreamError."""
        loop = asyncio.get_running_loop()
        head = self._head
        secure = _trust() if head.is_secure else None
        called = head.called if head.is_secure and head.called else None
        left_s = patience.deadline - loop.time()
        try:
            async with asyncio.timeout(min(self._timeouts.connect_s, left_s)):
                _, wire = await loop.create_connection(
                    Wire,
                    head.host,
                    head.port,
                    ssl=secure,
                    server_hostname=called,
                )
        except TimeoutError:
            # Which limit it was is not asked of the clock: a loop's may be a millisecond behind.
            if left_s <= self._timeouts.connect_s:
                raise patience.passed_at(patience.deadline) from None
            raise ConnectTimeout from None
        except OSError as error:
            raise ConnectFailed(error) from None
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
