"""The HTTP front over an engine that says letters: routes, errors, streams and counts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from _openai.completion import PendingCompletion
from _openai.front import Server


class Letters:
    """An engine whose tokens are characters; it says `answer` at once."""

    models = ("m", "adapter")
    context = 20

    def __init__(self, answer: str = "hello", error: str | None = None) -> None:
        self.answer = answer
        self.error = error
        self.asked: list[PendingCompletion] = []

    def encode_chat(self, messages: list[dict[str, Any]]) -> list[int]:
        return self.encode_text("".join(message["content"] for message in messages))

    def encode_text(self, text: str) -> list[int]:
        return list(map(ord, text))

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))

    def submit(self, completion: PendingCompletion) -> None:
        self.asked.append(completion)
        if self.error:
            completion.end("error", self.error)
            return
        for token in self.encode_text(self.answer):
            if completion.put([token]):
                return
        completion.end("stop")

    def gauges(self) -> dict[str, float]:
        return {"running": 0}


async def exchange(engine: Letters, *requests: bytes) -> list[bytes]:
    """The raw answers on one connection, in order."""
    server = await asyncio.start_server(Server(engine).connection, "127.0.0.1", 0)
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


def ask(engine: Letters, path: str, fields: object = None) -> tuple[int, Any]:
    """Status and body; JSON if it is any."""
    body = b"" if fields is None else json.dumps(fields).encode()
    method = "GET" if fields is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    (raw,) = asyncio.run(exchange(engine, head + body))
    status, _, content = raw.partition(b" ")
    try:
        return int(status), json.loads(content)
    except ValueError:
        return int(status), content.decode()


def events_of(body: str) -> list[Any]:
    lines = [line for line in body.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_models_health_and_metrics() -> None:
    assert ask(Letters(), "/health") == (200, {"status": "ok"})
    _, models = ask(Letters(), "/v1/models")
    assert [entry["id"] for entry in models["data"]] == ["m", "adapter"]
    assert models["data"][0]["max_model_len"] == 20
    _, text = ask(Letters(), "/metrics")
    assert "llmops_running 0\n" in text
    assert "llmops_requests_total 0\n" in text


def test_an_answer_in_one_piece() -> None:
    status, answer = ask(Letters(), "/v1/completions", {"prompt": "abc"})
    assert status == 200
    (choice,) = answer["choices"]
    assert choice == {"index": 0, "text": "hello", "finish_reason": "stop"}
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def test_a_stop_string_ends_a_chat() -> None:
    engine = Letters()
    fields = {"messages": [{"role": "user", "content": "hi"}], "stop": "l"}
    _, answer = ask(engine, "/v1/chat/completions", fields)
    assert answer["choices"][0]["message"]["content"] == "he"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert engine.asked[0].cancelled


@pytest.mark.parametrize("chat", [True, False])
def test_a_stream_opens_pieces_closes_and_counts(chat: bool) -> None:
    path = "/v1/chat/completions" if chat else "/v1/completions"
    prompt = {"messages": [{"role": "user", "content": "hi"}]} if chat else {"prompt": "hi"}
    fields = {**prompt, "stream": True, "max_tokens": 2, "stream_options": {"include_usage": True}}
    status, body = ask(Letters(), path, fields)
    events = events_of(body)
    assert status == 200
    if chat:
        assert events.pop(0)["choices"][0]["delta"]["role"] == "assistant"
    *pieces, closing, usage = events
    said = [
        piece["choices"][0]["delta"]["content"] if chat else piece["choices"][0]["text"]
        for piece in pieces
    ]
    assert "".join(said) == "he"
    assert closing["choices"][0]["finish_reason"] == "length"
    assert usage["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/v1/completions", {"prompt": "x" * 20}, 400),
        ("/v1/completions", {"prompt": ""}, 400),
        ("/v1/completions", {"prompt": ["a", "b"]}, 400),
        ("/v1/completions", {"prompt": "a", "n": 2}, 400),
        ("/v1/completions", {"prompt": "a", "max_tokens": "many"}, 400),
        ("/v1/completions", {"prompt": "a", "model": "other"}, 404),
        ("/v1/completions", ["no", "object"], 400),
        ("/v1/chat/completions", {}, 400),
        ("/v1/embeddings", {}, 404),
        ("/v1/embeddings", None, 404),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_reason(
    path: str, fields: object, status: int
) -> None:
    found, body = ask(Letters(), path, fields)
    assert found == status
    assert body["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_fails_before_the_first_token_is_a_500(stream: bool) -> None:
    engine = Letters(error="out of memory")
    status, body = ask(engine, "/v1/completions", {"prompt": "a", "stream": stream})
    assert (status, body["error"]["message"]) == (500, "out of memory")


def test_a_connection_serves_one_request_after_another() -> None:
    def post(path: str, fields: object) -> bytes:
        body = json.dumps(fields).encode()
        return f"POST {path} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    found = asyncio.run(
        exchange(
            Letters(),
            post("/v1/completions", {"prompt": [104, 105], "stream": True}),
            b"POST /v1/completions HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            post("/tokenize", {"prompt": "abc"}),
            b"GET /metrics?x=1 HTTP/1.1\r\n\r\n",
        )
    )
    assert [raw.split(b" ")[0] for raw in found] == [b"200", b"400", b"200", b"200"]
    assert b"llmops_output_tokens_total 5\n" in found[3]
