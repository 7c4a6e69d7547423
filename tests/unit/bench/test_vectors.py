"""Answers of the embeddings API: a vector for each text, or an error that says so."""

from __future__ import annotations

import json

import pytest

from llmops_cli.bench.answer import Completion
from llmops_cli.bench.failure import ErrorKind
from llmops_cli.bench.vectors import parse_vectors
from llmops_cli.runtime.wire import HttpResponse

AT_NS = 7


def vectors(body: object, *, texts: int, status: int = 200) -> Completion:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = HttpResponse()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
    assert response.feed(AT_NS, head + raw)
    return parse_vectors(response, texts=texts)


@pytest.mark.parametrize("embedding", [[0.1, 0.2], "zczMPc3MTD4="], ids=["floats", "base64"])
def test_vectors_come_at_once(embedding: object) -> None:
    body = {"data": [{"embedding": embedding}] * 2, "usage": {"prompt_tokens": 9}}
    answer = vectors(body, texts=2)
    assert answer.failure is None
    assert (answer.vectors, answer.stamps, answer.is_stream) == (2, [AT_NS], False)
    assert answer.usage == {"prompt_tokens": 9}


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"embedding": [0.1]}]},
        {"data": []},
        {"data": [{"id": "m"}, {"id": "n"}]},
        {"choices": [{"message": {"content": "hi"}}]},
        [1],
        b'{"data": [{"embedding": [1]}, {"embedding": [1]}], "usage": {"a": "\xff"}}',
        b"[" * 100_000,
    ],
    ids=["too few", "none", "models", "text", "a list", "no UTF-8", "nested"],
)
def test_what_is_not_a_vector_for_each_text_is_an_error(body: object) -> None:
    answer = vectors(body, texts=2)
    assert answer.failure is not None
    assert answer.failure.kind is ErrorKind.NO_VECTORS


def test_a_refusal_of_vectors_is_in_the_servers_words() -> None:
    answer = vectors({"error": {"message": "too long"}}, texts=1, status=400)
    assert answer.failure is not None
    assert answer.failure.text == "HTTP 400: too long"
