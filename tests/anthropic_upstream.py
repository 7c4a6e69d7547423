"""An upstream that speaks Anthropic's Messages, and reads what it is sent as Anthropic's package.

`content` is what it answers with, `failures` are answers that come first, `stream` replaces a
stream's bytes. What it was sent that Anthropic's types do not have stands in `faults`.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from anthropic.types import message_count_tokens_params, message_create_params
from pydantic import TypeAdapter, ValidationError

Json = dict[str, Any]
Failure = tuple[int, Json, dict[str, str]]
MODEL = "claude-sonnet-4-5"
USAGE = {
    "input_tokens": 20,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 30,
    "output_tokens": 9,
}
COUNT = 321
HELLO: Json = {"type": "text", "text": "Hello there."}
CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
_CREATE: TypeAdapter[Any] = TypeAdapter(message_create_params.MessageCreateParams)
_COUNT: TypeAdapter[Any] = TypeAdapter(message_count_tokens_params.MessageCountTokensParams)


class Handler(BaseHTTPRequestHandler):
    outer: AnthropicUpstream
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.outer.lists.append((self.path, dict(self.headers)))
        entry = {"type": "model", "id": MODEL, "display_name": "C", "created_at": "2025-01-01"}
        self._json(200, {"data": [entry], "has_more": False, "first_id": MODEL, "last_id": MODEL})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        outer = self.outer
        outer.seen.append(body)
        outer.paths.append(self.path)
        outer.headers.append({name.lower(): value for name, value in self.headers.items()})
        try:
            (_COUNT if self.path.endswith("count_tokens") else _CREATE).validate_python(body)
        except ValidationError as error:
            outer.faults.append(str(error))
        if outer.failures:
            self._json(*outer.failures.pop(0))
        elif self.path.endswith("count_tokens"):
            self._json(200, {"input_tokens": COUNT})
        elif body.get("stream"):
            self._stream()
        else:
            self._json(200, outer.message())

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        raw = self.outer.stream
        if raw is None:
            raw = b"".join(events_of(self.outer.message()))
        step = self.outer.step or len(raw)
        for start in range(0, len(raw), step):
            piece = raw[start : start + step]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            time.sleep(self.outer.pause_s)
        if self.outer.breaks:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(b"0\r\n\r\n")

    def _json(self, status: int, payload: Json, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(payload).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


class AnthropicUpstream:
    """`step`: so many bytes of a stream at a time, a pause after each; `breaks`: without an end."""

    def __init__(self) -> None:
        self.content: list[Json] = [HELLO]
        self.stop_reason: str | None = "end_turn"
        self.stop_sequence: str | None = None
        self.failures: list[Failure] = []
        self.stream: bytes | None = None
        self.step = 0
        self.pause_s = 0.0
        self.breaks = False
        self.seen: list[Json] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lists: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        handler = type("Bound", (Handler,), {"outer": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def message(self) -> Json:
        return message(
            *self.content,
            stop_reason=self.stop_reason,
            stop_sequence=self.stop_sequence,
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def message(
    *content: Json,
    stop_reason: str | None = "end_turn",
    stop_sequence: str | None = None,
) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "usage": USAGE,
    }


def failure(kind: str, said: str = "no") -> Json:
    error = {"type": kind, "message": said}
    return {"type": "error", "error": error, "request_id": "req_1"}


def event(kind: str, **fields: object) -> bytes:
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def events_of(whole: Json) -> Iterator[bytes]:
    """A message as a stream tells it, a ping among its events."""
    started = {**whole, "content": [], "stop_reason": None, "stop_sequence": None}
    started["usage"] = {**whole["usage"], "output_tokens": 1}
    yield event("message_start", message=started)
    yield event("ping")
    for index, block in enumerate(whole["content"]):
        yield from _block_events(index, block)
    ending = {name: whole[name] for name in ("stop_reason", "stop_sequence")}
    counted = {"output_tokens": whole["usage"]["output_tokens"]}
    yield event("message_delta", delta=ending, usage=counted)
    yield event("message_stop")


def _block_events(index: int, block: Json) -> Iterator[bytes]:
    empty, deltas = _parts(block)
    yield event("content_block_start", index=index, content_block=empty)
    for delta in deltas:
        yield event("content_block_delta", index=index, delta=delta)
    yield event("content_block_stop", index=index)


def _parts(block: Json) -> tuple[Json, list[Json]]:
    kind = block["type"]
    if kind == "text":
        words = block["text"].split(" ")
        texts = [word if number == 0 else f" {word}" for number, word in enumerate(words)]
        return {**block, "text": ""}, [{"type": "text_delta", "text": text} for text in texts]
    if kind == "thinking":
        said = {"type": "thinking_delta", "thinking": block["thinking"]}
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [said, signed]
    if kind == "tool_use":
        given = json.dumps(block["input"]) if block["input"] else ""
        pieces = ["", given[:4], given[4:]]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        return {**block, "input": {}}, deltas
    return block, []
