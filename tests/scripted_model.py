"""An OpenAI-style server in this process whose answer follows from what it is asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[dict[str, Any]], str]
"""What is said to a request's body."""


class ScriptedModel:
    """`bodies`: what was asked, in order, and `keys`: with what key. Each word is a token."""

    def __init__(self, script: Script, *, delay_s: float = 0.0) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.delay_s = delay_s
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                body = json.loads(raw)
                with outer._lock:
                    outer.bodies.append(body)
                    outer.keys.append(self.headers.get("Authorization"))
                time.sleep(outer.delay_s)
                self._send(outer._reply(body, script(body)))

            def do_GET(self) -> None:
                self._send({"data": [{"id": "scripted"}]})

            def _send(self, payload: object) -> None:
                raw = json.dumps(payload).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """A client that was killed is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        serve = partial(self._server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()

    def _reply(self, body: dict[str, Any], text: str) -> dict[str, Any]:
        prompt = " ".join(str(message["content"]) for message in body["messages"])
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"choices": [choice], "usage": usage}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def scripted(script: Script, *, delay_s: float = 0.0) -> Iterator[ScriptedModel]:
    server = ScriptedModel(script, delay_s=delay_s)
    try:
        yield server
    finally:
        server.close()
