"""A chat is translated once, and by a judge where the loop would be kept."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from llmops_cli.gateway_file.config import JudgingConfig
from llmops_cli.serve.context import Asked, Fields
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.anthropic.chat_translation import ChatTranslation
from llmops_cli.serve.upstreams.anthropic.request import MessagesBody, translated

MANY = 20_000
"""Messages that take a fifth of a second."""


def raw(**fields: object) -> Fields:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


def chat(messages: int, **more: object) -> Fields:
    roles = ("user", "assistant")
    talk = [{"role": roles[number % 2], "content": "x"} for number in range(messages)]
    return raw(model="m", messages=talk, min_p=0.5, **more)


async def made(
    fields: Fields,
    *again: Fields,
    bounds: JudgingConfig | None = None,
) -> tuple[list[MessagesBody], int]:
    """The bodies, and how many judges were asked."""
    judging = Judging()
    asked = Asked(route="", id="", start=0.0)
    translation = ChatTranslation(judging, asked, bounds or JudgingConfig())
    try:
        found = [await translation.body(each) for each in (fields, *again)]
        return found, len(judging.pool.pids())
    finally:
        await judging.pool.close()


def test_what_is_large_is_translated_by_a_judge_with_the_same_result() -> None:
    fields = chat(MANY, tools=[{"type": "function", "function": {"name": "f"}}])
    [found], judges = asyncio.run(made(fields))
    here = translated(fields, ())
    assert judges == 1
    assert found.encoded("m", has_effort=True) == here.encoded("m", has_effort=True)
    assert found.unsent == here.unsent == ("min_p",)


def test_what_is_small_is_translated_at_once() -> None:
    _, judges = asyncio.run(made(chat(5)))
    assert judges == 0


def test_it_is_made_once_for_all_that_ask_for_the_same() -> None:
    fields = chat(5)
    streamed = {**fields, **raw(stream_options={"include_usage": True})}
    (first, second, third), _ = asyncio.run(made(fields, streamed, {**fields, **raw(top_k=3)}))
    assert first is second
    assert "top_k" in third.fields


@pytest.mark.parametrize("messages", [5, MANY])
def test_what_cannot_be_said_is_refused_by_name(messages: int) -> None:
    with pytest.raises(Refusal, match="seed") as caught:
        asyncio.run(made(chat(messages, seed=1)))
    assert (caught.value.status, caught.value.code) == (400, "unsupported")


def test_what_takes_a_judge_too_long_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        asyncio.run(made(chat(MANY), bounds=JudgingConfig(seconds=0.001)))
    assert caught.value.code == "too_large"
