"""Single requests to a gateway, each on a connection of its own, with one deadline for all."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.urls import server_url
from llmops_cli.runtime.keys import bearer

READ_BYTES = 1 << 20
CHAT_PATH = "/v1/chat/completions"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Silence(IntEnum):
    """What stands for a status where there is none."""

    HUNG_UP = 0
    WAITED = -1
    NO_TIME_LEFT = -2


class ProbeReply(NamedTuple):
    """`status`: HTTP's, or a Silence."""

    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""

    @property
    def seen(self) -> str:
        """For people."""
        if self.status == Silence.HUNG_UP:
            return "it hung up"
        if self.status == Silence.WAITED:
            return "no answer in time"
        if self.status == Silence.NO_TIME_LEFT:
            return "not tried: the deadline is over"
        return str(self.status)

    @property
    def needs_key(self) -> bool:
        """It was turned away for who asked, not for what was asked."""
        return self.status in (401, 403)


class GatewayProbe:
    """`deadline_s`: for all requests together; what comes after is not sent."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        deadline_s: float,
    ) -> None:
        if "://" not in url:
            url = f"http://{url}"
        parts = urlsplit(server_url(url, field="url"))
        self.is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._key = key
        self._ends_at_s = time.monotonic() + deadline_s

    @property
    def is_local(self) -> bool:
        return self._host in LOOPBACK

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 30,
    ) -> ProbeReply:
        """`key`: another one than the gateway's own. Raises: EnvironmentMissing."""
        left_s = self._ends_at_s - time.monotonic()
        if left_s <= 0:
            return ProbeReply(Silence.NO_TIME_LEFT)
        if key is None:
            key = self._key
        sent = {"Content-Type": "application/json", **bearer(key)}
        if headers:
            sent |= headers
        limit_s = min(timeout_s, left_s)
        connection = self._connected(limit_s)
        over = threading.Event()
        try:
            with _cut_after(connection, limit_s, over):
                connection.request(method, path, body, sent)
                return _read(connection)
        except TimeoutError:
            return ProbeReply(Silence.WAITED)
        except (OSError, ValueError, http.client.HTTPException):
            return ProbeReply(Silence.WAITED if over.is_set() else Silence.HUNG_UP)
        finally:
            connection.close()

    def chat(self, body: bytes, *, key: str | None = None) -> ProbeReply:
        """A chat completion."""
        return self.ask("POST", CHAT_PATH, body, key=key)

    def _connected(self, timeout_s: float) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if self.is_secure:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout_s, context=context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as error:
            reason = error.strerror or error
            address = f"{self._host}:{self._port}"
            raise EnvironmentMissing(f"nothing answers at {address}: {reason}") from error
        return connection


def _read(connection: http.client.HTTPConnection) -> ProbeReply:
    reply = connection.getresponse()
    headers_found = reply.getheaders()
    found = {name.lower(): value for name, value in headers_found}
    beginning = reply.read(READ_BYTES)
    return ProbeReply(reply.status, found, beginning)


@contextmanager
def _cut_after(
    connection: http.client.HTTPConnection,
    limit_s: float,
    over: threading.Event,
) -> Iterator[None]:
    """A socket's own timeout begins anew with each byte, so one who drips would never end."""
    open_socket = connection.sock

    def cut() -> None:
        over.set()
        with suppress(OSError):
            open_socket.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
