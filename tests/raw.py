"""An upstream whose every byte a test writes."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

LISTED = json.dumps({"object": "list", "data": [{"id": "m"}]}).encode()
CHOICE = {
    "index": 0,
    "message": {"role": "assistant", "content": "Hello"},
    "finish_reason": "stop",
}
WHOLE = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [CHOICE],
    "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
}


class Asked(NamedTuple):
    """`number`: of the requests on this connection, from 0."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    number: int

    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[Asked], Iterable[bytes]]


def head(status: int, *lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} X", *lines, "")).encode()


def whole(
    payload: object,
    *lines: str,
    status: int = 200,
    kind: str = "application/json",
) -> bytes:
    """An answer with its length. `payload`: bytes as they are, else JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return head(status, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *lines) + body


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(payload: object) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def delta(text: str | None, finish: str | None = None) -> dict[str, Any]:
    said = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": said, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


STREAM = head(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
DONE = b"data: [DONE]\n\n"
END = b"0\r\n\r\n"


def stream(*events: bytes) -> bytes:
    """Whole, in one piece."""
    return STREAM + b"".join(map(chunk, events)) + END


def fine(asked: Asked) -> Iterable[bytes]:
    """What any upstream would say."""
    if asked.json().get("stream"):
        return [stream(event(delta("Hello")), event(delta(None, "stop")), DONE)]
    return [whole(WHOLE)]


def says(data: bytes) -> Answer:
    """The same each time."""
    return lambda asked: [data]


class Hang(Exception):
    """Raised by an answer that says nothing more."""


class RawUpstream:
    """`answer` makes the bytes of each answer; when it is over without a length, or `hangs_up`, the
    connection ends. `seen`: every request but the checks.
    """

    def __init__(self, answer: Answer = fine) -> None:
        self.answer = answer
        self.hangs_up = False
        self.lists = LISTED
        self.seen: list[Asked] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        number = 0
        with link, link.makefile("rb") as reader:
            while True:
                try:
                    asked = _read(reader, number)
                    if asked is None:
                        return
                    number += 1
                    if not self._say(link, asked):
                        return
                except OSError:
                    return

    def _say(self, link: socket.socket, asked: Asked) -> bool:
        """Whether the connection goes on."""
        if asked.method == "GET":
            link.sendall(whole(self.lists))
            return True
        self.seen.append(asked)
        try:
            for piece in self.answer(asked):
                link.sendall(piece)
        except Hang:
            time.sleep(30)
        return not self.hangs_up

    def close(self) -> None:
        """At once: who waits for a connection would take one more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _read(reader: Any, number: int) -> Asked | None:  # Any: a buffered socket
    line = reader.readline().decode("latin-1").split()
    if len(line) < 2:
        return None
    headers = {}
    while True:
        found = reader.readline().decode("latin-1").strip()
        if not found:
            break
        name, _, value = found.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    return Asked(line[0], line[1], headers, body, number)
