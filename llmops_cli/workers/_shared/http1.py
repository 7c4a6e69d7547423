"""HTTP/1.1 for a worker that serves: one request read, one reply or event stream written.

Standard library only. It knows nothing of models.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from _shared.wrong_body import wrong_body

MAX_BODY_BYTES = 32 << 20
MAX_HEAD_BYTES = 1 << 16
MOST_LENGTH_DIGITS = 20
EVENT_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)

# What a client sends is any JSON; whoever reads a field checks it.
Json = dict[str, Any]


class HttpError(Exception):
    """A request that cannot be served: its status and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class HttpRequest:
    """One request, and when its head had been read."""

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


async def read_request(reader: asyncio.StreamReader) -> HttpRequest:
    """Raises: asyncio.IncompleteReadError at the end of the connection, HttpError if too large."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise HttpError(431, "the headers are too long") from error
    received_ns = time.monotonic_ns()
    text = head.decode("latin-1")
    first, *lines = text.split("\r\n")
    words = first.split(" ")
    method, target, *_ = [*words, "", ""]
    length = _content_length(lines)
    if length > MAX_BODY_BYTES:
        raise HttpError(413, f"the body is over {MAX_BODY_BYTES >> 20} MiB")
    body = await reader.readexactly(length)
    path, _, _query = target.partition("?")
    return HttpRequest(method=method, path=path, body=body, received_ns=received_ns)


def _content_length(lines: list[str]) -> int:
    """Raises: HttpError where the end of the body cannot be told."""
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        value = value.strip()
        if name == "transfer-encoding":
            raise HttpError(411, "a body needs a Content-Length here")
        if name == "content-length":
            if not (value.isascii() and value.isdecimal()):
                raise HttpError(400, f"Content-Length: no number: {value[:40]}")
            return int(value[:MOST_LENGTH_DIGITS])
    return 0


async def reply(
    writer: asyncio.StreamWriter,
    status: int,
    content: object,
) -> None:
    """A whole answer: text as it is, anything else as JSON."""
    if isinstance(content, str):
        kind = b"text/plain; version=0.0.4"
        raw = content.encode()
    else:
        kind = b"application/json"
        raw = json.dumps(content).encode()
    form = b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    head = form % (status, kind, len(raw))
    writer.write(head + raw)
    await writer.drain()


class EventStream:
    """A 200 whose body is server-sent events, one chunk each."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        writer.write(EVENT_STREAM_HEAD)

    def send(self, event: Json) -> None:
        text = json.dumps(event)
        raw = b"data: " + text.encode() + b"\n\n"
        chunk = b"%x\r\n%b\r\n" % (len(raw), raw)
        self._writer.write(chunk)

    async def drain(self) -> None:
        await self._writer.drain()

    async def end(self) -> None:
        self._writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await self._writer.drain()
