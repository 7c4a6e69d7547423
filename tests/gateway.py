"""An upstream that does what a test says, and a gateway that runs in front of it."""

from __future__ import annotations

import email
import email.message
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from llmops_cli.cli.app import command_line

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


class Handler(BaseHTTPRequestHandler):
    """Answers as its upstream's `mode` says."""

    outer: Upstream
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.outer.mode == "no checks":
            time.sleep(30)
        listed = [{"id": name, **self.outer.listed.get(name, {})} for name in self.outer.names]
        self._json(200, {"object": "list", "data": listed})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = _body(raw, self.headers.get("Content-Type", "application/json"))
        self.outer.seen.append(body)
        self.outer.paths.append(self.path)
        self.outer.headers.append(dict(self.headers))
        mode = self.outer.mode
        time.sleep(self.outer.prefill_s)
        if mode == "refuse first" and len(self.outer.seen) == 1:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if mode == "stall":
            time.sleep(60)
            return
        if mode == "repeat the key":
            key = self.headers.get("Authorization", "")
            self._json(401, {"error": {"message": f"Incorrect API key provided: {key}"}})
            return
        if mode == "500":
            self._json(self.outer.status, {"error": {"message": "broken"}})
            return
        if self.path in self.outer.answers:
            self._bytes(*self.outer.answers[self.path])
            return
        self._answer(mode, body)

    def _answer(self, mode: str, body: dict[str, Any]) -> None:
        if self.path == "/v1/embeddings":
            self._json(
                200,
                {
                    "object": "list",
                    "data": [{"index": 0, "embedding": vector(body["input"])}],
                    "model": body["model"],
                    "usage": USAGE,
                },
            )
            return
        if self.path == "/v1/responses":
            self._response(body)
            return
        if not body.get("stream"):
            time.sleep(self.outer.delay_s)
        if mode == "429":
            self._json(429, {"error": {"message": "busy"}}, {"Retry-After": "7"})
            return
        if not body.get("stream") or mode == "whole":
            message = {
                "role": "assistant",
                "content": "".join(self.outer.words),
                **self.outer.extra,
            }
            choice = {
                "index": 0,
                "message": message,
                "finish_reason": "stop",
                **self.outer.logprobs(body),
            }
            self._json(
                200,
                {
                    "id": "x",
                    "object": "chat.completion",
                    "created": 1,
                    "model": body["model"],
                    "choices": [choice],
                    "usage": USAGE,
                },
            )
            return
        self._stream(body["model"])

    def _response(self, body: dict[str, Any]) -> None:
        part = {"type": "output_text", "text": "".join(self.outer.words)}
        whole = {
            "id": "r",
            "object": "response",
            "model": body["model"],
            "status": "completed",
            "output": [{"type": "message", "content": [part]}],
            "usage": {"input_tokens": 5, "output_tokens": 3},
        }
        whole = self.outer.whole or whole
        if not body.get("stream"):
            self._json(200, whole)
            return
        deltas = [
            {"type": "response.output_text.delta", "delta": word} for word in self.outer.words
        ]
        events = [*deltas, {"type": "response.completed", "response": whole}]
        events = self.outer.events or events
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()
            time.sleep(self.outer.delay_s)
        self.close_connection = True

    def _stream(self, model: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for i, word in enumerate([*self.outer.words, None]):
                choice = {
                    "index": 0,
                    "delta": {"content": word} if word is not None else {},
                    "finish_reason": None if word is not None else "stop",
                }
                self._chunk(
                    {
                        "id": "x",
                        "object": "chat.completion.chunk",
                        "created": 1,
                        "model": model,
                        "choices": [choice],
                    }
                )
                if self.outer.mode == "no finish" and word is None:
                    break
                if self.outer.mode == "half" and i == 1:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                time.sleep(self.outer.delay_s)
            head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model}
            self._chunk({**head, "choices": [], "usage": USAGE})
            self._raw(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.outer.broken_pipes += 1

    def _chunk(self, event: object) -> None:
        self._raw(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _raw(self, data: bytes) -> None:
        data = data.replace(b"\n", self.outer.line_end)
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _bytes(self, kind: str, raw: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _json(self, status: int, payload: object, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(payload).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


def _body(raw: bytes, kind: str) -> dict[str, Any]:
    """JSON, or a form: text by name, and files as their names, types and bytes."""
    if not kind.startswith("multipart/form-data"):
        found: dict[str, Any] = json.loads(raw)
        return found
    form = email.message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + raw)
    found = {}
    for part in form.get_payload():
        assert isinstance(part, email.message.Message)
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        file = part.get_filename()
        value = data.decode() if file is None else (file, part.get_content_type(), data)
        found[name] = [*found.get(name, []), value] if name.endswith("[]") else value
    return found


class Quiet(ThreadingHTTPServer):
    outer: Upstream
    daemon_threads = True

    def process_request(self, *args: Any) -> None:
        self.outer.connections += 1
        super().process_request(*args)

    def handle_error(self, *_: object) -> None:
        pass


class Upstream:
    """An OpenAI-style endpoint. `mode` is how it behaves; `seen` what it was asked."""

    def __init__(self, port: int = 0, *, host: str = "127.0.0.1") -> None:
        self.mode = "fine"
        self.line_end = b"\n"
        self.words = ["Hello", " there", "."]
        self.delay_s = 0.0
        self.prefill_s = 0.0
        self.extra: dict[str, Any] = {}
        self.names = ["m", "other"]
        self.events: list[dict[str, Any]] = []
        self.whole: dict[str, Any] = {}
        self.listed: dict[str, dict[str, Any]] = {}
        self.status = 500
        self.logprob = -0.01
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answers: dict[str, tuple[str, bytes]] = {}
        self.broken_pipes = self.connections = 0
        self.server = Quiet((host, port), type("Bound", (Handler,), {"outer": self}))
        self.server.outer = self
        self.port = int(self.server.server_address[1])
        self.url = f"http://{host}:{self.port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def logprobs(self, body: dict[str, Any]) -> dict[str, Any]:
        words = [{"token": word, "logprob": self.logprob} for word in self.words]
        return {"logprobs": {"content": words}} if body.get("logprobs") else {}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def vector(text: str) -> list[float]:
    """Counts of letters: texts of the same letters mean the same."""
    return [float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]


class Gateway:
    """A gateway that runs, and a key for it."""

    def __init__(self, url: str, state: Path, key: str, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self.state = state
        self.key = key
        self.process = process

    def ask(
        self,
        body: object,
        *,
        path: str = "/v1/chat/completions",
        key: str | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        method: str | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        sent = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.key if key is None else key}",
        }
        request = urllib.request.Request(
            f"{self.url}{path}", data, {**sent, **(headers or {})}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.state / "audit.jsonl").read_text().splitlines()]

    def audited(self, count: int = 1) -> list[dict[str, Any]]:
        """The same, once there are so many lines: one is written behind the answer's end."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(OSError, ValueError):
                lines = self.audit()
                if len(lines) >= count:
                    return lines
            time.sleep(0.02)
        raise AssertionError(f"fewer than {count} lines in the audit log")


Start = Callable[..., Gateway]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


class Starter:
    """Starts gateways that share a state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.env = {**os.environ, "LLMOPS_STATE_DIR": str(self.state)}
        self.running: list[subprocess.Popen[bytes]] = []
        self.patience_s = 20.0

    def __call__(self, url: str, *args: str) -> Gateway:
        return self._start("--upstream", url, *args)

    def config(self, text: str, *args: str) -> Gateway:
        """With a file of this text, which the test may write anew."""
        self.file = self.folder / "gateway.yaml"
        self.file.write_text(text)
        return self._start("--config", str(self.file), *args)

    def mounted(self, file: Path, *args: str) -> Gateway:
        """With a file that stands there already."""
        return self._start("--config", str(file), *args)

    def key(self, name: str, *args: str) -> str:
        argv = ["keys", "create", "--name", name, *args, "--json"]
        made = CliRunner().invoke(command_line(()), argv, env={"LLMOPS_STATE_DIR": str(self.state)})
        assert made.exit_code == 0, made.output
        return str(json.loads(made.stdout)["key"])

    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()

    def _start(self, *args: str) -> Gateway:
        key = self.key(f"k{len(self.running)}", "--role", "user")
        port = free_port()
        with (self.folder / "gateway.log").open("ab") as log:
            argv = [sys.executable, "-m", "llmops_cli", "serve", *args, "--port", str(port)]
            process = subprocess.Popen(argv, env=self.env, stderr=log)
        self.running.append(process)
        gateway = Gateway(f"http://127.0.0.1:{port}", self.state, key, process)
        for _ in range(int(self.patience_s / 0.05)):
            try:
                if gateway.ask(None, path="/health")[0] == 200:
                    return gateway
            except OSError:
                if process.poll() is not None:
                    break
                time.sleep(0.05)
        raise AssertionError(self.log())

    def stop(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
