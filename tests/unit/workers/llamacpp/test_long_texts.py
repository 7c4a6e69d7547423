"""A long text hurts nobody: it is refused by its length, or read beside the event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from tests.unit.workers.llamacpp.asking import (
    CHAT,
    COMPLETIONS,
    Reply,
    ScriptedScheduler,
    app_over,
    ask,
    asked_of,
    chat,
    two_words,
)
from tests.unit.workers.llamacpp.vocabulary import NumberedVocabulary

TOKENIZE = "/tokenize"
LONG = "5 " * 5_000


class Untouched(NumberedVocabulary):
    """No text may come to it."""

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        raise AssertionError(text[:20])


class Waiting(NumberedVocabulary):
    """It tokenizes once something else has been answered."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_go_on = threading.Event()

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        self.begun.set()
        assert self.may_go_on.wait(10)
        return super().tokenize(text, add_special=add_special, parse_special=parse_special)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (COMPLETIONS, {"prompt": LONG}, "prompt"),
        (COMPLETIONS, {"prompt": ["5", LONG]}, "prompt"),
        (COMPLETIONS, {"prompt": [5] * 21}, "prompt"),
        (COMPLETIONS, {"prompt": [5], "suffix": LONG}, "suffix"),
        (CHAT, chat(messages=[{"role": "user", "content": LONG}]), "messages"),
        (TOKENIZE, {"content": LONG}, "prompt"),
        (TOKENIZE, chat(messages=[{"role": "user", "content": LONG}]), "messages"),
    ],
    ids=["text", "texts", "tokens", "suffix", "chat", "tokenize", "tokenize chat"],
)
def test_what_no_context_could_hold_is_refused_by_its_length(
    path: str, body: dict[str, object], param: str
) -> None:
    texts = body.get("prompt")
    vocabulary = NumberedVocabulary() if isinstance(texts, list) else Untouched()
    reply = ask("POST", path, body, vocabulary=vocabulary)
    assert reply.status == 400
    assert reply.body["error"]["param"] == param
    assert reply.body["error"]["type"] == "context_length_exceeded"
    assert "maximum context length is 20 tokens" in reply.body["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETIONS, {"prompt": LONG}),
        (CHAT, chat(messages=[{"role": "user", "content": LONG}])),
        (TOKENIZE, {"content": LONG}),
    ],
    ids=["completion", "chat", "tokenize"],
)
def test_a_long_text_is_read_beside_what_others_ask(path: str, body: object) -> None:
    vocabulary = Waiting()
    app = app_over(ScriptedScheduler(two_words), vocabulary=vocabulary, context=10_000)

    async def both() -> tuple[Reply, Reply]:
        long = asyncio.create_task(asked_of(app, "POST", path, body))
        while not vocabulary.begun.is_set():
            await asyncio.sleep(0.001)
        health = await asked_of(app, "GET", "/health")
        vocabulary.may_go_on.set()
        return await long, health

    long, health = asyncio.run(both())
    assert (long.status, health.status) == (200, 200)
