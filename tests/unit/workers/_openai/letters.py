"""An engine whose tokens are characters, and the way to ask a front over it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from _openai.completion import PendingCompletion
from _openai.front import Server


class Letters:
    """It says `answer` at once."""

    label = "letters"
    models = ("m", "adapter")
    context = 20
    vocabulary_size = 256
    longest_token = 1

    def __init__(
        self,
        answer: str = "hello",
        error: str | None = None,
        *,
        abilities: frozenset[str] = frozenset(),
        is_silent: bool = False,
        has_channels: bool = False,
    ) -> None:
        self.answer = answer
        self.has_channels = has_channels
        self.error = error
        self.abilities = abilities
        self.ended: str | None = None
        self.is_silent = is_silent
        self.asked: list[PendingCompletion] = []

    def encode_chat(self, messages: list[dict[str, Any]]) -> list[int]:
        texts = [message["content"] for message in messages]
        if "refuse" in texts:
            raise ValueError("the template does not like this")
        return self.encode_text("".join(texts))

    def encode_text(self, text: str) -> list[int]:
        return list(map(ord, text))

    def decode(self, tokens: list[int], *, with_marks: bool = False) -> str:
        assert with_marks == self.has_channels
        return "".join(map(chr, tokens))

    def submit(self, completion: PendingCompletion) -> None:
        self.asked.append(completion)
        if self.is_silent:
            return
        if self.error:
            completion.end("error", self.error)
            return
        for token in self.encode_text(self.answer):
            if completion.put([token]):
                return
        completion.end("stop")

    def gauges(self) -> dict[str, float]:
        return {"running": 0}

    def failure(self) -> str | None:
        return self.ended


async def exchange(engine: Letters, *requests: bytes) -> list[bytes]:
    """The raw answers on one connection, in order."""
    server = await asyncio.start_server(Server(engine).connections.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in head:
            body = await reader.readuntil(b"0\r\n\r\n")
        else:
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
        found.append(head.split(b" ")[1] + b" " + body)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    return found


def post(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def ask_raw(engine: Letters, request: bytes) -> tuple[int, Any]:
    """Status and body; JSON if it is any."""
    (raw,) = asyncio.run(exchange(engine, request))
    status, _, content = raw.partition(b" ")
    try:
        return int(status), json.loads(content)
    except ValueError:
        return int(status), content.decode()


def ask(engine: Letters, path: str, fields: object = None) -> tuple[int, Any]:
    """A GET without `fields`."""
    if fields is None:
        return ask_raw(engine, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return ask_raw(engine, post(path, json.dumps(fields).encode()))
