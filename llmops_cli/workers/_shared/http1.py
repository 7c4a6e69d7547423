"""HTTP/1.1 for a worker that serves: requests read, replies and event streams written, by h11.

h11 comes with httpx, which each environment that serves has (by huggingface_hub or uvicorn). This
knows nothing of models.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

import h11

from _shared.wrong_body import wrong_body

MAX_BODY_BYTES = 32 << 20
MAX_HEAD_BYTES = 1 << 16
READ_BYTES = 1 << 16
PARTS_AT_ONCE = 256
"""Some milliseconds, however small they are; then others have their turn."""
LINGER_S = 2.0
"""A client that still sends would have its connection reset, and not see why."""
NO_HTTP = "this is no request of HTTP that can be read"
REFUSED = {
    431: "the headers are too long",
    501: "this Transfer-Encoding is not read here",
}
PLAIN_TEXT = "text/plain; version=0.0.4"

# What a client sends is any JSON; whoever reads a field checks it.
Json = dict[str, Any]
Headers = Sequence[tuple[str, str]]


class HttpError(Exception):
    """A request that cannot be served: its status and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ConnectionOver(ConnectionError):
    """The client has ended it, or what was written leaves no way to go on."""


@dataclass(frozen=True)
class HttpRequest:
    """One request, and when its head had been read. A HEAD is a GET whose answer has no body."""

    method: str
    path: str
    body: bytes
    received_ns: int

    def json(self) -> Json:
        try:
            fields = json.loads(self.body)
        except ValueError as error:
            raise HttpError(400, wrong_body(self.body)) from error
        if not isinstance(fields, dict):
            raise HttpError(400, "the body is no JSON object")
        return fields


class HttpConnection:
    """One client: its requests one after another, and what is written to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        """For what is no HTTP, as a server that fails sends it."""
        self._state = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._wants_head = False

    @property
    def has_left(self) -> bool:
        return self._reader.at_eof()

    @property
    def has_begun(self) -> bool:
        """An answer has, and has not ended."""
        return self._state.our_state is h11.SEND_BODY

    async def read_request(self) -> HttpRequest:
        """Raises: ConnectionOver at the end, HttpError for what cannot be read."""
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        if self._state.our_state is not h11.IDLE:
            raise ConnectionOver
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            raise ConnectionOver
        received_ns = time.monotonic_ns()
        body = await self._body(head)
        method = head.method.decode()
        self._wants_head = method == "HEAD"
        return HttpRequest(
            method="GET" if self._wants_head else method,
            path=path_of(head.target.decode()),
            body=body,
            received_ns=received_ns,
        )

    async def _body(self, head: h11.Request) -> bytes:
        fields = dict(head.headers)
        length = fields.get(b"content-length")
        if length is not None:
            if b"transfer-encoding" in fields:
                raise HttpError(400, "Content-Length beside Transfer-Encoding")
            _check_size(int(length))
        body = bytearray()
        parts = 0
        while not isinstance(part := await self._next_event(), h11.EndOfMessage):
            if not isinstance(part, h11.Data):
                raise ConnectionOver
            _check_size(len(body) + len(part.data))
            body += part.data
            parts += 1
            if parts % PARTS_AT_ONCE == 0:
                await asyncio.sleep(0)  # what has arrived is read without a pause
        return bytes(body)

    async def _next_event(self) -> h11.Event:
        """Raises: ConnectionOver, HttpError."""
        while True:
            try:
                event = self._state.next_event()
            except h11.RemoteProtocolError as error:
                if self.has_left:
                    raise ConnectionOver from None
                status = error.error_status_hint
                raise HttpError(status, REFUSED.get(status, NO_HTTP)) from None
            if isinstance(event, h11.Event):
                return event
            if event is not h11.NEED_DATA:
                raise ConnectionOver
            if self._state.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._state.receive_data(await self._reader.read(READ_BYTES))

    async def reply(self, status: int, content: object, headers: Headers = ()) -> None:
        """A whole answer: text as it is, anything else as JSON."""
        if isinstance(content, str):
            kind = PLAIN_TEXT
            raw = content.encode()
        else:
            kind = "application/json"
            raw = json.dumps(content).encode()
        self._begin(status, kind, [("Content-Length", str(len(raw))), *headers])
        self.send(raw)
        await self.end()

    def events(self) -> "EventStream":
        """Begins a 200 whose body is server-sent events."""
        self._begin(200, "text/event-stream", [])
        return EventStream(self)

    def send(self, data: bytes) -> None:
        """A part of a body."""
        if not self._wants_head:
            self._send(h11.Data(data=data))

    async def end(self) -> None:
        """Of a body."""
        self._send(h11.EndOfMessage())
        await self.writer.drain()

    def _begin(self, status: int, kind: str, headers: Headers) -> None:
        """Raises: ConnectionOver in the middle of another answer: only its end can tell of it."""
        if self._state.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            raise ConnectionOver
        self._send(
            h11.Response(
                status_code=status,
                reason=HTTPStatus(status).phrase,
                headers=[("Content-Type", kind), *headers],
            )
        )

    def _send(self, event: h11.Event) -> None:
        written = self._state.send(event)
        if written:
            self.writer.write(written)

    async def refuse(self, status: int, content: object) -> None:
        """The last answer: where another request would begin is not known."""
        await self.reply(status, content)
        with contextlib.suppress(OSError, TimeoutError):
            self.writer.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await self._reader.read(READ_BYTES):
                    pass

    def close(self) -> None:
        self.writer.close()


class EventStream:
    """Server-sent events, one chunk each."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def send(self, event: Json) -> None:
        text = json.dumps(event)
        self._connection.send(b"data: %b\n\n" % text.encode())

    async def drain(self) -> None:
        await self._connection.writer.drain()

    async def end(self) -> None:
        self._connection.send(b"data: [DONE]\n\n")
        await self._connection.end()


def path_of(target: str) -> str:
    """Of `/path?query`, or of a whole address, as proxies send it."""
    if not target.startswith("/"):
        try:
            target = urlsplit(target)._replace(scheme="", netloc="").geturl()
        except ValueError as error:
            raise HttpError(400, "the address of the request cannot be read") from error
    path, _, _query = target.partition("?")
    return unquote(path)


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise HttpError(413, f"the body is over {MAX_BODY_BYTES >> 20} MiB")
