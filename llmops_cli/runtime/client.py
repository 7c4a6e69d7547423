"""HTTP to OpenAI-style servers: plain calls, and streams with a time stamp on every chunk.

Chunks are stamped as they arrive and parsed after the stream has ended, so parsing delays no stamp.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "text")


class StreamResult(msgspec.Struct, kw_only=True):
    """One streamed request. Times are monotonic nanoseconds; `chunk_ns` only has chunks that carried text."""

    sent_ns: int
    chunk_ns: list[int] = []
    text: str = ""
    usage: dict[str, Any] = {}  # servers add fields of their own
    status: int | None = None
    error: str | None = None
    finish_reason: str | None = None


class Client:
    """Connections to one server, kept open between requests."""

    def __init__(self, session: aiohttp.ClientSession, url: str, model: str) -> None:
        self._session, self._url, self.model = session, url, model

    async def connect(self, count: int) -> None:
        """Opens `count` connections, so that no measured request pays for the handshake."""
        await asyncio.gather(*(self._touch() for _ in range(count)))

    async def _touch(self) -> None:
        try:
            async with self._session.get(f"{self._url}/v1/models") as response:
                await response.read()
                await asyncio.sleep(0.05)  # holds the connection, so that each task opens its own
        except (aiohttp.ClientError, TimeoutError):
            return

    async def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any] | None:
        """The JSON answer, or None if the server has no such path or refuses."""
        try:
            async with self._session.post(
                f"{self._url}{path}", data=msgspec.json.encode(body), headers=JSON
            ) as response:
                raw = await response.read()
                return dict(msgspec.json.decode(raw)) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, ValueError):
            return None

    async def chat(self, messages: list[dict[str, str]], **fields: object) -> str:
        """The answer's text. Raises: aiohttp.ClientError or RuntimeError with the server's words."""
        body = {"model": self.model, "messages": messages, **fields}
        async with self._session.post(
            f"{self._url}/v1/chat/completions", data=msgspec.json.encode(body), headers=JSON
        ) as response:
            raw = await response.read()
            if response.status != 200:
                raise RuntimeError(f"HTTP {response.status}: {error_text(raw)}")
            return str(msgspec.json.decode(raw)["choices"][0]["message"]["content"])

    async def stream(self, path: str, body: Mapping[str, object]) -> StreamResult:
        """Never raises for what the server does: a failed request is data."""
        payload = msgspec.json.encode({"model": self.model, "stream": True, **body})
        chunks: list[tuple[int, bytes]] = []
        result = StreamResult(sent_ns=time.monotonic_ns())
        try:
            async with self._session.post(f"{self._url}{path}", data=payload, headers=JSON) as response:
                result.status = response.status
                async for chunk in response.content.iter_any():
                    chunks.append((time.monotonic_ns(), chunk))
        except TimeoutError:
            result.error = "timeout"
        except aiohttp.ClientError as error:
            result.error = f"{type(error).__name__}: {error}"[:200]
        _parse_stream(result, chunks)
        return result


JSON = {"Content-Type": "application/json"}


def _parse_stream(result: StreamResult, chunks: list[tuple[int, bytes]]) -> None:
    if result.status is not None and result.status != 200:
        result.error = f"HTTP {result.status}: {error_text(b''.join(raw for _, raw in chunks))}"
        return
    buffer, done = b"", False
    texts: list[str] = []
    for at_ns, raw in chunks:
        *events, buffer = (buffer + raw).replace(b"\r\n", b"\n").split(b"\n\n")
        carried = False
        for event in events:
            data = b"".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
            if data == b"[DONE]":
                done = True
            elif data:
                carried |= _take(result, data, texts)
        if carried:
            result.chunk_ns.append(at_ns)
    result.text = "".join(texts)
    if result.error is None and not (done or result.finish_reason):
        result.error = "the stream ended early"


def _take(result: StreamResult, data: bytes, texts: list[str]) -> bool:
    """Whether this event carried text of the answer."""
    try:
        event = msgspec.json.decode(data)
    except msgspec.DecodeError:
        result.error = "a chunk is not JSON"
        return False
    if event.get("error"):
        result.error = str(event["error"])[:200]
    result.usage = event.get("usage") or result.usage
    carried = False
    for choice in event.get("choices") or ():
        result.finish_reason = choice.get("finish_reason") or result.finish_reason
        part = choice.get("delta") or choice
        for name in TEXT_FIELDS:
            if part.get(name):
                texts.append(part[name])
                carried = True
    return carried


def error_text(raw: bytes) -> str:
    """The message inside an error body, or its beginning."""
    try:
        error = msgspec.json.decode(raw)["error"]
        return str(error["message"] if isinstance(error, dict) else error)[:200]
    except (msgspec.DecodeError, KeyError, TypeError):
        return raw[:200].decode(errors="replace")


def text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@asynccontextmanager
async def connect(url: str, model: str, *, timeout_s: float) -> AsyncIterator[Client]:
    """A client without a limit on connections: waiting for one would be hidden in the measurement."""
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=10)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, read_bufsize=1 << 18) as session:
        yield Client(session, url, model)
