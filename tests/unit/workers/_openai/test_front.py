"""The HTTP front over an engine that says letters: routes, errors, streams and counts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from _openai.front import Server
from llmops_cli.core.spec import MODEL_DIGEST
from llmops_cli.deploy.monitoring.metric_names import OF_ENGINE_BOARDS
from tests.hostile_requests import HARMLESS, HOSTILE, RAW, UNABLE, UNSEEDED, Hostile
from tests.unit.workers._openai.letters import Letters, ask, ask_raw, exchange, post


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
    for name in OF_ENGINE_BOARDS:
        assert "gpu" in name or f"\n{name}" in text, name


def test_the_model_alone_has_the_digest_that_its_starter_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MODEL_DIGEST, f"sha256:{'0123456789abcdef' * 4}")
    _, models = ask(Letters(), "/v1/models")
    assert [entry.get("digest") for entry in models["data"]] == ["0123456789ab", None]


def test_an_answer_in_one_piece() -> None:
    status, answer = ask(Letters(), "/v1/completions", {"prompt": "abc"})
    assert status == 200
    (choice,) = answer["choices"]
    assert choice == {"index": 0, "text": "hello", "finish_reason": "stop"}
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


IN_CHANNELS = (
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes!"
)


@pytest.mark.parametrize("stream", [True, False])
def test_channels_of_a_chat_are_told_apart(stream: bool) -> None:
    engine = Letters(IN_CHANNELS, has_channels=True)
    engine.context = 200
    chat = {"messages": [{"role": "user", "content": "hi"}], "stream": stream}
    _, body = ask(engine, "/v1/chat/completions", chat)
    if stream:
        deltas = [event["choices"][0]["delta"] for event in events_of(body)]
    else:
        deltas = [body["choices"][0]["message"]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Hm."
    assert "".join(delta.get("content", "") for delta in deltas) == "Yes!"


def test_a_stop_string_ends_a_chat() -> None:
    engine = Letters()
    fields = {"messages": [{"role": "user", "content": "hi"}], "stop": "l"}
    _, answer = ask(engine, "/v1/chat/completions", fields)
    assert answer["choices"][0]["message"]["content"] == "he"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert engine.asked[0].is_over


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


@pytest.mark.parametrize("hostile", HOSTILE + UNABLE + UNSEEDED, ids=lambda hostile: hostile.name)
def test_what_cannot_be_served_is_refused_by_the_name_of_its_field(hostile: Hostile) -> None:
    engine = Letters()
    status, body = ask(engine, hostile.path, hostile.fields)
    assert (status, body["error"]["param"]) == (hostile.status, hostile.param)
    assert body["error"]["message"]
    assert not engine.asked


@pytest.mark.parametrize("raw", RAW, ids=range(len(RAW)))
def test_a_body_that_is_no_request_is_refused(raw: bytes) -> None:
    status, body = ask_raw(Letters(), post("/v1/completions", raw))
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("fields", HARMLESS, ids=range(len(HARMLESS)))
def test_fields_that_say_nothing_are_served(fields: dict[str, object]) -> None:
    status, _ = ask(Letters(), "/v1/completions", {"prompt": "a", **fields})
    assert status == 200


def test_an_engine_that_can_gets_what_was_asked() -> None:
    engine = Letters(abilities=frozenset({"seed", "logit_bias"}))
    fields = {"prompt": [1, 2], "seed": 5, "logit_bias": {"7": -1.5}, "max_tokens": 99}
    status, _ = ask(engine, "/v1/completions", fields)
    assert status == 200
    (completion,) = engine.asked
    assert completion.request.sampling.seed == 5
    assert completion.request.sampling.logit_bias == {7: -1.5}
    assert completion.request.max_tokens == 18  # all the room there is


def test_paths_that_are_not_here() -> None:
    assert ask(Letters(), "/v1/nothing", {})[0] == 404
    assert ask(Letters(), "/v1/nothing")[0] == 404
    assert ask(Letters(), "/v1/completions")[0] == 405


def test_text_parts_are_read_as_text() -> None:
    engine = Letters()
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    fields = {
        "messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    }
    status, answer = ask(engine, "/v1/chat/completions", fields)
    assert (status, answer["usage"]["prompt_tokens"]) == (200, 2)
    assert engine.asked[0].request.prompt == [97, 98]


def test_messages_that_the_template_refuses_are_the_clients() -> None:
    fields = {"messages": [{"role": "user", "content": "refuse"}]}
    status, body = ask(Letters(), "/v1/chat/completions", fields)
    assert (status, body["error"]["param"]) == (400, "messages")
    assert "does not like this" in body["error"]["message"]


def test_health_is_that_of_the_engine() -> None:
    engine = Letters()
    engine.ended = "the batching thread ended"
    status, body = ask(engine, "/health")
    assert (status, body["reason"]) == (503, "the batching thread ended")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_is_not_computed_for(stream: bool) -> None:
    """The engine says nothing yet, so nothing that is written could tell it."""

    async def run() -> bool:
        engine = Letters(is_silent=True)
        left = asyncio.Event()
        server = await asyncio.start_server(Server(engine).connections.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({"prompt": "a", "stream": stream}).encode()
        writer.write(post("/v1/completions", body))
        while not engine.asked:
            await asyncio.sleep(0.01)
        engine.asked[0].when_cancelled = left.set
        writer.close()
        await asyncio.wait_for(left.wait(), 5)
        await asyncio.sleep(0.1)  # for the connection to end as well
        server.close()
        return engine.asked[0].cancelled

    assert asyncio.run(run())


def test_one_stream_has_one_name() -> None:
    _, body = ask(Letters(), "/v1/completions", {"prompt": "a", "stream": True})
    assert len({event["id"] for event in events_of(body)}) == 1


@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_fails_before_the_first_token_is_a_500(stream: bool) -> None:
    engine = Letters(error="out of memory")
    status, body = ask(engine, "/v1/completions", {"prompt": "a", "stream": stream})
    assert (status, body["error"]["message"]) == (500, "out of memory")


def test_a_connection_serves_one_request_after_another() -> None:
    def asked(path: str, fields: object) -> bytes:
        return post(path, json.dumps(fields).encode())

    found = asyncio.run(
        exchange(
            Letters(),
            asked("/v1/completions", {"prompt": [104, 105], "stream": True}),
            asked("/v1/completions", {"prompt": "a", "top_p": 5}),
            asked("/tokenize", {"prompt": "abc"}),
            b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        )
    )
    assert [raw.split(b" ")[0] for raw in found] == [b"200", b"400", b"200", b"200"]
    assert b"llmops_output_tokens_total 5\n" in found[3]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("Content-Length: x", 400),
        ("Content-Length: -5", 400),
        ("Content-Length: 99999999999999", 413),
        ("Transfer-Encoding: gzip", 501),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
        ("Transfer-Encoding: chunked\r\n\r\n-5", 400),
        ("Transfer-Encoding: chunked\r\n\r\n0x5", 400),
        ("Transfer-Encoding: chunked\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nmore than five", 400),
        (f"Transfer-Encoding: chunked\r\n\r\n{'5' * 70_000}", 400),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_body_without_an_end_ends_the_connection(head: str, status: int) -> None:
    async def run() -> bytes:
        server = await asyncio.start_server(Server(Letters()).connections.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        server.close()
        return answer

    assert asyncio.run(run()).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_may_come_in_chunks(size: int) -> None:
    """As from clients that do not know its length beforehand."""
    body = json.dumps({"prompt": "abc", "user": "a" * 60}).encode()
    parts = [body[place : place + size] for place in range(0, len(body), size)]
    chunks = b"".join(b"%X;a=b\r\n%b\r\n" % (len(part), part) for part in parts)
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
    whole = head + chunks + b"0\r\nX-Trailer: y\r\n\r\n"
    found = asyncio.run(exchange(Letters(), whole, whole))
    assert [raw.split(b" ")[0] for raw in found] == [b"200", b"200"]


def test_a_head_without_measure_is_refused() -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n"
    status, body = ask_raw(Letters(), head)
    assert status == 431
    assert "headers" in body["error"]["message"]
