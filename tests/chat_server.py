"""An OpenAI-style server in this process whose replies a test scripts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Reply = tuple[int, object]
"""A status and a JSON body, or bytes as they are."""
POLL_S = 0.01
"""So soon a server ends that is told to."""
RETRY_AFTER_S = 0.05
"""What a reply that is no answer asks for."""


def says(text: str, **usage: int) -> Reply:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    return 200, {"choices": [{"index": 0, "message": message}], "usage": usage}


@dataclass
class SameAnswer:
    """Every chat is answered with `text` after a delay; so many requests fail first."""

    text: str = "I cannot help with that."
    delay_s: float = 0.0
    failures: int = 0
    status: int = 429

    def __call__(self, _: int) -> Reply:
        time.sleep(self.delay_s)
        if self.failures > 0:
            self.failures -= 1
            return self.status, {"error": {"message": "later"}}
        return says(self.text)


class ChatServer:
    """`answer` is told how many chats came before. `bodies` are what was asked."""

    def __init__(self, answer: Callable[[int], Reply], *, model: str = "only-model") -> None:
        self.answer = answer
        self.model = model
        self.asked = 0
        self.retry_after = str(RETRY_AFTER_S)
        self.keys: set[str | None] = set()
        self.bodies: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                outer.bodies.append(self.rfile.read(length))
                outer.keys.add(self.headers.get("Authorization"))
                number = outer.asked
                outer.asked += 1
                self._send(*outer.answer(number))

            def do_GET(self) -> None:
                outer.keys.add(self.headers.get("Authorization"))
                self._send(200, {"data": [{"id": outer.model}]})

            def _send(self, status: int, payload: object) -> None:
                raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                if status >= 400:
                    self.send_header("Retry-After", outer.retry_after)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        serve = partial(self._server.serve_forever, poll_interval=POLL_S)
        threading.Thread(target=serve, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving(
    answer: Callable[[int], Reply],
    *,
    model: str = "m",
) -> Iterator[ChatServer]:
    server = ChatServer(answer, model=model)
    try:
        yield server
    finally:
        server.close()
