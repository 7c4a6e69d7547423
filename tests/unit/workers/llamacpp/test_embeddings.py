"""The endpoint of vectors over a model that makes them by arithmetic."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from _shared.embedding_queue import EmbeddingCall, EmbeddingQueue, EmbeddingsFull, VectorModel
from _shared.grammar_making.here import made_here
from llamacpp.server.api import OpenAiApp
from llamacpp.server.embedder import STEP, VectorForm, pool
from llamacpp.server.embeddings import EmbeddingService
from llamacpp.server.grammars import Grammars
from llamacpp.server.prompts import PromptReader
from tests.unit.workers.llamacpp.vocabulary import NumberedVocabulary

PATH = "/v1/embeddings"
LONGEST = 300
FORM = VectorForm(dimensions=2, longest=LONGEST, pooling="mean", normalizes=True)


class SumModel:
    """The vector of a text: how many tokens it has, and their sum."""

    def __init__(self) -> None:
        self.steps: list[list[list[int]]] = []
        self.may_compute = threading.Event()
        self.may_compute.set()

    def vectors(self, texts: list[list[int]]) -> list[bytes]:
        self.may_compute.wait(10)
        self.steps.append(texts)
        if any(13 in text for text in texts):
            raise RuntimeError("thirteen")
        return [struct.pack("<2f", len(text), sum(text)) for text in texts]


class Client:
    """An app with its queue, which ends with the test."""

    def __init__(self, model: VectorModel) -> None:
        self.queue = EmbeddingQueue(lambda: model, STEP)
        service = EmbeddingService("m", FORM, self.queue)
        reader = PromptReader(NumberedVocabulary(), None, context=LONGEST)
        grammars = Grammars(made_here)
        self.app = OpenAiApp(
            reader, None, service, grammars=grammars, models=["m"], context=LONGEST
        )
        self.queue.start()

    async def ask(self, path: str, fields: object, *, method: str = "POST") -> tuple[int, Any]:
        sent: list[dict[str, Any]] = []
        messages = [{"type": "http.request", "body": json.dumps(fields).encode()}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.Event().wait()
            return {}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app({"type": "http", "method": method, "path": path}, receive, send)
        return sent[0]["status"], sent[1]["body"]

    def embed(self, **fields: object) -> tuple[int, Any]:
        status, body = asyncio.run(self.ask(PATH, fields))
        return status, json.loads(body)


@pytest.fixture
def model() -> SumModel:
    return SumModel()


@pytest.fixture
def client(model: SumModel) -> Iterator[Client]:
    found = Client(model)
    yield found
    found.queue.stop()


def vectors_of(body: Any) -> list[list[float]]:
    return [entry["embedding"] for entry in body["data"]]


def test_texts_get_special_tokens_and_tokens_are_taken_as_they_are(client: Client) -> None:
    status, texts = client.embed(input=["5 6", "7"], model="m")
    assert status == 200
    assert vectors_of(texts) == [[3.0, 12.0], [2.0, 8.0]]
    assert texts["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    _, tokens = client.embed(input=[[5, 6], [7]])
    assert vectors_of(tokens) == [[2.0, 11.0], [1.0, 7.0]]


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"input": [50]}, 400, "input"),
        ({"input": [2] * (LONGEST + 1)}, 400, "input"),
        ({"input": "2", "dimensions": 1}, 400, "dimensions"),
        ({"input": "2", "encoding_format": "x"}, 400, "encoding_format"),
        ({"input": "2", "model": "other"}, 404, "model"),
    ],
    ids=["empty", "no such token", "too long", "dimensions", "encoding", "model"],
)
def test_a_refusal_names_its_field(
    client: Client, model: SumModel, fields: dict[str, object], status: int, param: str
) -> None:
    found, body = client.embed(**fields)
    assert (found, body["error"]["param"]) == (status, param)
    assert not model.steps


def test_a_body_that_is_no_object_is_refused(client: Client) -> None:
    status, body = asyncio.run(client.ask(PATH, [1, 2]))
    assert status == 400
    assert "no JSON object" in json.loads(body)["error"]["message"]


def test_a_model_of_vectors_says_so_where_text_is_asked_for(client: Client) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        status, body = asyncio.run(client.ask(path, {"messages": [], "prompt": "2"}))
        assert status == 400
        assert "/v1/embeddings" in json.loads(body)["error"]["message"]


def test_requests_that_wait_are_computed_together_and_take_turns(
    client: Client, model: SumModel
) -> None:
    model.may_compute.clear()

    async def three() -> list[tuple[int, Any]]:
        first = asyncio.create_task(client.ask(PATH, {"input": [[2]]}))
        await asyncio.sleep(0.05)  # the thread has taken it and waits
        long = asyncio.create_task(client.ask(PATH, {"input": [[3] * 100] * 5}))
        await asyncio.sleep(0)
        short = asyncio.create_task(client.ask(PATH, {"input": [[4]]}))
        await asyncio.sleep(0.05)
        model.may_compute.set()
        return list(await asyncio.gather(first, long, short))

    answers = asyncio.run(three())
    assert [status for status, _ in answers] == [200, 200, 200]
    sizes = [[len(text) for text in step] for step in model.steps]
    assert sizes == [[1], [100, 1, 100], [100, 100], [100]]
    assert vectors_of(json.loads(answers[1][1])) == [[100.0, 300.0]] * 5


def test_a_failure_is_told_and_the_next_request_is_answered(client: Client) -> None:
    status, body = client.embed(input=[13])
    assert status == 500
    assert "thirteen" in body["error"]["message"]
    assert client.embed(input=[14])[0] == 200
    assert asyncio.run(client.ask("/health", None, method="GET"))[0] == 200


def test_a_client_that_leaves_is_computed_no_further(client: Client, model: SumModel) -> None:
    async def leave() -> None:
        model.may_compute.clear()
        task = asyncio.create_task(client.ask(PATH, {"input": [[3] * 200] * 50}))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        model.may_compute.set()
        await client.ask(PATH, {"input": [[4]]})

    asyncio.run(leave())
    assert len(model.steps) <= 3


def test_there_is_an_end_to_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_shared.embedding_queue.MOST_WAITING_CALLS", 2)

    async def fill() -> None:
        queue = EmbeddingQueue(SumModel, STEP)
        queue.submit(EmbeddingCall([[2]]))
        queue.submit(EmbeddingCall([[2]]))
        with pytest.raises(EmbeddingsFull):
            queue.submit(EmbeddingCall([[2]]))

    asyncio.run(fill())


TOKENS_TD = np.array([[1, 1], [3, 5], [10, 0], [20, 2], [30, 4]], np.float32)


@pytest.mark.parametrize(
    ("pooling", "vectors"),
    [
        ("mean", [[2, 3], [20, 2]]),
        ("cls", [[1, 1], [10, 0]]),
        ("last", [[3, 5], [30, 4]]),
    ],
)
def test_each_text_is_pooled_from_its_own_tokens(pooling: str, vectors: list[list[float]]) -> None:
    assert pool(TOKENS_TD, [2, 3], pooling).tolist() == vectors


def test_metrics_count_texts(client: Client) -> None:
    client.embed(input=[[2, 3], [4]])
    _, text = asyncio.run(client.ask("/metrics", None, method="GET"))
    assert b"llmops_embedding_texts_total 2.0" in text
    assert b"llmops_embedding_tokens_total 3.0" in text
