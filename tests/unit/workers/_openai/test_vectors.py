"""The server of vectors over an engine that makes them by arithmetic."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import pytest

from _openai.vectors import VectorServer
from _shared.embedding_queue import StepSize
from tests.unit.workers._openai.letters import post

PATH = "/v1/embeddings"
LONGEST = 8


class Sums:
    """Tokens are characters; the vector of a text is how many it has, and their sum."""

    name = "m"
    dimensions = 2
    longest = LONGEST
    longest_token = 1
    vocabulary_size = 128

    def __init__(self) -> None:
        self.steps: list[int] = []

    def encode_text(self, text: str) -> list[int]:
        return list(map(ord, text))

    def vectors(self, texts: list[list[int]]) -> list[bytes]:
        self.steps.append(len(texts))
        return [struct.pack("<2f", len(text), sum(text)) for text in texts]


async def exchange(engine: Sums, requests: list[bytes]) -> list[tuple[int, Any]]:
    """The answers on one connection, in order."""
    connection = VectorServer(engine, StepSize(tokens=64, texts=16)).connections.serve
    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        status = int(head.split(b" ")[1])
        found.append((status, body.decode()))
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    return found


def ask(path: str, fields: object, *, engine: Sums | None = None) -> tuple[int, Any]:
    request = post(path, json.dumps(fields).encode())
    ((status, body),) = asyncio.run(exchange(engine or Sums(), [request]))
    return status, json.loads(body)


@pytest.mark.parametrize("given", [["ab", "c"], [[97, 98], [99]]], ids=["texts", "tokens"])
def test_vectors_come_in_the_order_of_their_texts(given: object) -> None:
    status, body = ask(PATH, {"input": given, "model": "m"})
    assert status == 200
    assert [entry["embedding"] for entry in body["data"]] == [[2.0, 195.0], [1.0, 99.0]]
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"input": "a" * (LONGEST + 1)}, 400, "input"),
        ({"input": [128]}, 400, "input"),
        ({"input": "a", "dimensions": 1}, 400, "dimensions"),
        ({"input": "a", "model": "other"}, 404, "model"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format"),
    ],
    ids=["empty", "too long", "no such token", "dimensions", "model", "encoding"],
)
def test_a_refusal_names_its_field(fields: dict[str, object], status: int, param: str) -> None:
    engine = Sums()
    found, body = ask(PATH, fields, engine=engine)
    assert (found, body["error"]["param"]) == (status, param)
    assert not engine.steps


@pytest.mark.parametrize(("path", "field"), [(PATH, "input"), ("/tokenize", "prompt")])
def test_a_text_that_must_be_too_long_is_never_tokenized(path: str, field: str) -> None:
    class Untouched(Sums):
        def encode_text(self, text: str) -> list[int]:
            raise AssertionError(text)

    status, body = ask(path, {field: "a" * (LONGEST + 1)}, engine=Untouched())
    assert (status, body["error"]["param"]) == (400, field)
    assert f"maximum context length is {LONGEST} tokens" in body["error"]["message"]


def test_text_is_refused_with_the_way_to_vectors() -> None:
    status, body = ask("/v1/chat/completions", {"messages": []})
    assert status == 400
    assert PATH in body["error"]["message"]


def test_other_routes_are_those_of_every_server() -> None:
    gets = [
        f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in ("/health", "/v1/models")
    ]
    embed = post(PATH, b'{"input": ["a", "b"]}')
    tokenize = post("/tokenize", b'{"prompt": "ab"}')
    metrics = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    wrong = b"GET /v1/embeddings HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = [*gets, embed, tokenize, metrics, wrong]
    answers = asyncio.run(exchange(Sums(), requests))
    assert [status for status, _ in answers] == [200, 200, 200, 200, 200, 405]
    assert json.loads(answers[1][1])["data"][0]["max_model_len"] == LONGEST
    assert json.loads(answers[3][1])["tokens"] == [97, 98]
    assert "llmops_embedding_texts_total 2\n" in answers[4][1]


def test_a_body_that_is_no_object_is_refused() -> None:
    status, body = ask(PATH, [1])
    assert status == 400
    assert "no JSON object" in body["error"]["message"]
