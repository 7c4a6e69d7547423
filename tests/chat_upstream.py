"""An upstream that reads what it is sent as OpenAI's own package does, and answers by model name.

`text`, `tools` (two calls, their pieces mixed), `reasoning` and `images` are models. What it was
sent that OpenAI's types do not have stands in `faults`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from pydantic import TypeAdapter, ValidationError

Json = dict[str, Any]
MODELS = ("text", "tools", "reasoning", "images")
WORDS = ("Hello", " there", ".")
TEXT = "".join(WORDS)
THOUGHT = "A greeting, then."
IMAGE = "data:image/png;base64,iVBORw0KGgo="
CALLS = {"call_a": ("weather", {"city": "Oslo"}), "call_b": ("clock", {"zone": "CET"})}
COUNT = 321
CHAT_USAGE = {
    "prompt_tokens": 50,
    "completion_tokens": 9,
    "total_tokens": 59,
    "prompt_tokens_details": {"cached_tokens": 32},
}
RESPONSE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"cached_tokens": 32, "cache_write_tokens": 0},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 59,
}
_CHAT: TypeAdapter[Any] = TypeAdapter(completion_create_params.CompletionCreateParams)
_RESPONSE: TypeAdapter[Any] = TypeAdapter(response_create_params.ResponseCreateParams)


class Handler(BaseHTTPRequestHandler):
    outer: ChatUpstream
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._json(200, {"object": "list", "data": [{"id": name} for name in MODELS]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path in self.outer.lacks:
            self._json(404, {"error": {"message": f"there is no {self.path}"}})
        elif self.path == "/tokenize":
            self._json(200, self._tokenized(body))
        elif self.path == "/apply-template":
            self._json(200, {"prompt": "<user> Hi"})
        elif self.path == "/v1/responses":
            self._answer(body, _RESPONSE, whole_response(body), response_events(body))
        else:
            self._answer(body, _CHAT, whole_chat(body), chat_events(body))

    def _tokenized(self, body: Json) -> Json:
        """As vLLM does, or as llama.cpp, which takes a text."""
        self.outer.seen.append(body)
        if self.outer.is_llamacpp:
            return {"tokens": list(range(COUNT)) if body.get("content") else []}
        return {"count": COUNT, "max_model_len": 4096, "tokens": []}

    def _answer(
        self,
        body: Json,
        form: TypeAdapter[Any],
        whole: Json,
        events: Iterator[bytes],
    ) -> None:
        self.outer.seen.append(body)
        try:
            form.validate_python(body)
        except ValidationError as error:
            self.outer.faults.append(str(error))
        if not body.get("stream"):
            self._json(200, whole)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(event)
        self.close_connection = True

    def _json(self, status: int, payload: object) -> None:
        raw = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


class ChatUpstream:
    def __init__(self) -> None:
        self.seen: list[Json] = []
        self.faults: list[str] = []
        self.lacks: set[str] = set()
        self.is_llamacpp = False
        handler = type("Bound", (Handler,), {"outer": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def whole_chat(body: Json) -> Json:
    model = body["model"]
    message: Json = {"role": "assistant", "content": TEXT}
    if model == "reasoning":
        message["reasoning_content"] = THOUGHT
    if model == "images":
        message["images"] = [{"type": "image_url", "image_url": {"url": IMAGE}}]
    if model == "tools":
        message["content"] = None
        message["tool_calls"] = [
            {"id": call, "type": "function", "function": _function(*called)}
            for call, called in CALLS.items()
        ]
    reason = "tool_calls" if model == "tools" else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {**_head(model, "chat.completion"), "choices": [choice], "usage": CHAT_USAGE}


def _function(name: str, given: Json) -> Json:
    return {"name": name, "arguments": json.dumps(given)}


def _head(model: str, kind: str) -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model}


def chat_events(body: Json) -> Iterator[bytes]:
    model = body["model"]
    for delta in [{"role": "assistant", "content": ""}, *_deltas(model)]:
        yield _chunk(model, delta, None)
    yield _chunk(model, {}, "tool_calls" if model == "tools" else "stop")
    if (body.get("stream_options") or {}).get("include_usage"):
        head = _head(model, "chat.completion.chunk")
        yield _event({**head, "choices": [], "usage": CHAT_USAGE})
    yield b"data: [DONE]\n\n"


def _deltas(model: str) -> Iterator[Json]:
    if model == "tools":
        yield from _mixed_calls()
        return
    if model == "reasoning":
        for word in THOUGHT.split(" "):
            yield {"reasoning_content": word + " "}
    for word in WORDS:
        yield {"content": word}
    if model == "images":
        yield {"images": [{"type": "image_url", "image_url": {"url": IMAGE}}]}


def _mixed_calls() -> Iterator[Json]:
    """Both begin before either is whole."""
    for index, (call, (name, _)) in enumerate(CALLS.items()):
        function = {"name": name, "arguments": ""}
        piece = {"index": index, "id": call, "type": "function", "function": function}
        yield {"tool_calls": [piece]}
    halves = []
    for _, given in CALLS.values():
        text = json.dumps(given)
        halves.append((text[:5], text[5:]))
    for part in (0, 1):
        for index, half in enumerate(halves):
            yield {"tool_calls": [{"index": index, "function": {"arguments": half[part]}}]}


def _chunk(model: str, delta: Json, reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return _event({**_head(model, "chat.completion.chunk"), "choices": [choice]})


def _event(chunk: Json) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def whole_response(body: Json) -> Json:
    model = body["model"]
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    items: list[Json] = [
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [part],
        }
    ]
    if model == "reasoning":
        summary = [{"type": "summary_text", "text": THOUGHT}]
        items.insert(0, {"type": "reasoning", "id": "rs_1", "summary": summary})
    if model == "images":
        result = IMAGE.partition(",")[2]
        image = {"type": "image_generation_call", "id": "ig_1", "status": "completed"}
        items.append({**image, "result": result})
    if model == "tools":
        items = [
            {
                "type": "function_call",
                "id": f"fc_{call}",
                "call_id": call,
                "status": "completed",
                **_function(*called),
            }
            for call, called in CALLS.items()
        ]
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": model,
        "output": items,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSE_USAGE,
    }


def response_events(body: Json) -> Iterator[bytes]:
    whole = whole_response(body)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(whole["output"]):
        events.append({"type": "response.output_item.added", "output_index": index, "item": item})
        place = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            events += [
                {
                    "type": "response.output_text.delta",
                    **place,
                    "content_index": 0,
                    "delta": word,
                    "logprobs": [],
                }
                for word in WORDS
            ]
        if item["type"] == "function_call":
            kind = "response.function_call_arguments.delta"
            events.append({"type": kind, **place, "delta": item["arguments"]})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": whole})
    for number, event in enumerate(events):
        data = json.dumps({**event, "sequence_number": number})
        yield f"event: {event['type']}\ndata: {data}\n\n".encode()
