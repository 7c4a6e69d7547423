"""HTTP/1.1 for a worker that serves: one request read, one reply or event stream written.

Standard library only. It knows nothing of models.
"""

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from _shared.wrong_body import wrong_body

MAX_BODY_BYTES = 32 << 20
MAX_HEAD_BYTES = 1 << 16
MOST_LENGTH_DIGITS = 20
CHUNKS_AT_ONCE = 1024
"""Some milliseconds, however small they are; then others have their turn."""
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")
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
    body = await _body(reader, _fields(lines))
    path, _, _query = target.partition("?")
    return HttpRequest(method=method, path=path, body=body, received_ns=received_ns)


def _fields(lines: list[str]) -> dict[str, str]:
    """The first of each name, in small letters."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    return fields


async def _body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    """Raises: HttpError where its end cannot be told, or is too far."""
    coding = fields.get("transfer-encoding")
    length = fields.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked":
            raise HttpError(501, f"Transfer-Encoding: {coding[:40]} is not read here")
        if length is not None:
            raise HttpError(400, "Content-Length beside Transfer-Encoding")
        return await _chunked_body(reader)
    if length is None:
        return b""
    if not (length.isascii() and length.isdecimal()):
        raise HttpError(400, f"Content-Length: no number: {length[:40]}")
    size = int(length[:MOST_LENGTH_DIGITS])
    _check_size(size)
    return await reader.readexactly(size)


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise HttpError(413, f"the body is over {MAX_BODY_BYTES >> 20} MiB")


async def _chunked_body(reader: asyncio.StreamReader) -> bytes:
    """As clients send it that do not know the length beforehand."""
    body = bytearray()
    chunks = 0
    while size := _chunk_size(await _line(reader)):
        _check_size(len(body) + size)
        body += await reader.readexactly(size)
        if await _line(reader):
            raise HttpError(400, "a chunk is longer than it says")
        chunks += 1
        if chunks % CHUNKS_AT_ONCE == 0:
            await asyncio.sleep(0)  # what has arrived is read without a pause
    trailers = 0
    while line := await _line(reader):
        trailers += len(line)
        if trailers > MAX_HEAD_BYTES:
            raise HttpError(431, "the trailers are too long")
    return bytes(body)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Without its end."""
    try:
        line = await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError as error:
        raise HttpError(400, "broken chunked encoding") from error
    return line[:-2]


def _chunk_size(line: bytes) -> int:
    digits, _, _extension = line.partition(b";")
    digits = digits.strip()
    if not CHUNK_SIZE.fullmatch(digits):
        raise HttpError(400, "broken chunked encoding")
    return int(digits, 16)


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
