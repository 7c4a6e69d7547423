"""Answers with what they took: dialects, samples that the cache keeps apart, and recordings."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.runtime.chat import (
    Answer,
    BudgetSpent,
    ChatBudget,
    ChatCache,
    ChatCaps,
    ChatClient,
    ChatEndpoint,
    ChatRecording,
    ChatSettings,
    Declined,
    Unanswered,
    message,
)
from llmops_cli.runtime.chat_cache import CachedReply
from llmops_cli.runtime.chat_dialects import ChatReply
from tests.chat_server import ChatServer, Reply, says, serving

SETTINGS = ChatSettings(max_tokens=8, retries=1, timeout_s=5)
KEY = "sk-planted-key"
PRICES = Prices(input=1.0, output=2.0)
HI = [message("user", "hi")]


def numbered(number: int) -> Reply:
    return says(f"answer {number}", prompt_tokens=10, completion_tokens=5)


def answers(
    endpoint: ChatEndpoint,
    *,
    repeats: Sequence[int] = (0,),
    seed: int = 0,
    cache: ChatCache | None = None,
    recording: ChatRecording | None = None,
    budget: ChatBudget | None = None,
) -> list[Answer]:
    async def run() -> list[Answer]:
        client = ChatClient(endpoint, SETTINGS, cache=cache, recording=recording, budget=budget)
        async with client:
            return [await client.answer(HI, repeat=each, seed=seed) for each in repeats]

    return asyncio.run(run())


def ask_with(server: ChatServer, **more: object) -> Answer:
    async def run() -> Answer:
        async with ChatClient(ChatEndpoint(url=server.url, model="m"), SETTINGS) as client:
            return await client.answer(HI, **more)  # type: ignore[arg-type]

    return asyncio.run(run())


def test_an_answer_says_what_it_took() -> None:
    with serving(numbered) as server:
        endpoint = ChatEndpoint(url=server.url, model="m", prices=PRICES)
        (found,) = answers(endpoint)
    assert (found.text, found.input_tokens, found.output_tokens) == ("answer 0", 10, 5)
    assert found.cost == pytest.approx(20e-6)
    assert found.latency_s > 0
    assert not found.is_cached


def test_a_question_has_its_own_settings() -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    with serving(numbered) as server:
        ask_with(server, temperature=0.7, max_tokens=3, stop=["\n"], seed=5, tools=[tool])
        body = json.loads(server.bodies[0])
    assert isinstance(body.pop("seed"), int)
    assert body == {
        "model": "m",
        "messages": HI,
        "max_tokens": 3,
        "temperature": 0.7,
        "stop": ["\n"],
        "tools": [tool],
    }


def test_an_answer_that_was_cut_inside_a_character_is_one() -> None:
    with serving(lambda _: says("well \ud83d")) as server:
        found = ask_with(server)
    assert found.text == "well \ufffd"


def test_calls_of_tools_are_beside_the_text() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    reply = {"choices": [{"message": said, "finish_reason": "tool_calls"}]}
    with serving(lambda _: (200, reply)) as server:
        found = ask_with(server)
    assert found.text == ""
    assert found.tool_calls == (call,)
    assert found.finish_reason == "tool_calls"


@settings(max_examples=15)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=6, unique=True), st.integers(0, 2**31 - 1))
def test_samples_stay_different_requests_after_a_warm_rerun(repeats: list[int], seed: int) -> None:
    with TemporaryDirectory() as folder, serving(numbered) as server:
        endpoint = ChatEndpoint(url=server.url, model="m")
        with ChatCache(Path(folder) / "cache") as cache:
            cold = answers(endpoint, repeats=repeats, seed=seed, cache=cache)
        with ChatCache(Path(folder) / "cache") as cache:
            warm = answers(endpoint, repeats=repeats, seed=seed, cache=cache)
            (more,) = answers(endpoint, repeats=[7], seed=seed, cache=cache)
        seeds = [json.loads(body)["seed"] for body in server.bodies]
    assert len(set(seeds)) == len(repeats) + 1
    assert len({each.text for each in cold}) == len(repeats)
    assert [each.text for each in warm] == [each.text for each in cold]
    assert all(each.is_cached for each in warm)
    assert not more.is_cached


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"reply": 3}'])
def test_a_damaged_answer_in_a_cache_is_asked_for_again(tmp_path: Path, raw: bytes) -> None:
    with serving(numbered) as server:
        endpoint = ChatEndpoint(url=server.url, model="m")
        with ChatCache(tmp_path / "cache") as cache:
            answers(endpoint, cache=cache)
        with closing(sqlite3.connect(tmp_path / "cache")) as table:
            table.execute("UPDATE answers SET answer = ?", (raw,))
            table.commit()
        with ChatCache(tmp_path / "cache") as cache:
            (anew,) = answers(endpoint, cache=cache)
            (kept,) = answers(endpoint, cache=cache)
    assert (anew.text, anew.is_cached) == ("answer 1", False)
    assert (kept.text, kept.is_cached) == ("answer 1", True)


def seeds_of_questions(seed: int, count: int = 60) -> list[int]:
    async def run(url: str) -> None:
        async with ChatClient(ChatEndpoint(url=url, model="m"), SETTINGS) as client:
            for number in range(count):
                await client.answer([message("user", f"question {number}")], seed=seed)

    with serving(numbered) as server:
        asyncio.run(run(server.url))
        return [json.loads(body)["seed"] for body in server.bodies]


@pytest.mark.parametrize("seed", range(4))
def test_questions_do_not_share_their_luck(seed: int) -> None:
    """Of a model that is right half of the time, by what it draws: with one seed all or none."""
    seeds = seeds_of_questions(seed)
    right = sum(random.Random(each).random() < 0.5 for each in seeds)
    assert 15 <= right <= 45
    assert seeds_of_questions(seed) == seeds


def test_a_cache_knows_endpoints_apart(tmp_path: Path) -> None:
    with (
        serving(numbered) as one,
        serving(lambda _: says("other")) as other,
        ChatCache(tmp_path / "cache") as cache,
    ):
        assert answers(ChatEndpoint(url=one.url, model="m"), cache=cache)[0].text == "answer 0"
        assert answers(ChatEndpoint(url=one.url, model="n"), cache=cache)[0].text == "answer 1"
        assert answers(ChatEndpoint(url=other.url, model="m"), cache=cache)[0].text == "other"


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a cache, " * 100)
    with pytest.raises(EnvironmentMissing, match=r"notes\.txt cannot be used"), ChatCache(path):
        pass


def test_failures_are_not_cached(tmp_path: Path) -> None:
    replies = iter([(400, {}), numbered(1)])
    with serving(lambda _: next(replies)) as server, ChatCache(tmp_path / "cache") as cache:
        endpoint = ChatEndpoint(url=server.url, model="m")
        with pytest.raises(Unanswered):
            answers(endpoint, cache=cache)
        assert answers(endpoint, cache=cache)[0].text == "answer 1"


def test_a_recording_holds_questions_and_answers_and_no_key(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    replies = iter([numbered(0), (400, {"error": {"message": "no"}})])
    with serving(lambda _: next(replies)) as server, ExitStack() as stack:
        endpoint = ChatEndpoint(url=server.url, model="m", key=KEY)
        recording = stack.enter_context(ChatRecording(path))
        answers(endpoint, recording=recording)
        with pytest.raises(Unanswered):
            answers(endpoint, recording=recording)
        assert server.keys == {f"Bearer {KEY}"}
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["request"]["messages"] == HI
    assert first["text"] == "answer 0"
    assert second["error"] == "http 400"
    assert KEY not in path.read_text()


def test_a_wait_that_is_asked_for_is_waited() -> None:
    replies = iter([(529, {"error": {"type": "overloaded_error"}}), numbered(0)])
    with serving(lambda _: next(replies)) as server:
        start = time.monotonic()
        assert ask_with(server).text == "answer 0"
        assert time.monotonic() - start >= 0.05


@pytest.mark.parametrize("wait", ["99999999", "Wed, 21 Oct 2815 07:28:00 GMT"])
def test_a_wait_beyond_all_patience_holds_nobody_longer(
    wait: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a server whose clock is wrong, for the request itself and for all others."""
    monkeypatch.setattr("llmops_cli.runtime.chat_sending.LONGEST_ASKED_S", 0.05)
    busy = (429, {"error": {"message": "later"}})

    async def both(url: str) -> list[Answer]:
        async with ChatClient(ChatEndpoint(url=url, model="m"), SETTINGS) as client:
            asked = [client.answer(HI, repeat=repeat) for repeat in range(3)]
            return await asyncio.wait_for(asyncio.gather(*asked), 10)

    with serving(lambda number: numbered(number) if number else busy) as server:
        server.retry_after = wait
        assert len(asyncio.run(both(server.url))) == 3


def test_an_overload_inside_a_200_is_asked_again_and_no_quota_is_not() -> None:
    overload = {"type": "error", "error": {"type": "overloaded_error", "message": "later"}}
    replies = iter([(200, overload), numbered(1)])
    with serving(lambda _: next(replies)) as server:
        assert ask_with(server).text == "answer 1"
    with serving(lambda _: (429, {"error": {"code": "insufficient_quota"}})) as server:
        with pytest.raises(Unanswered, match="http 429"):
            ask_with(server)
        assert server.asked == 1


def test_what_a_server_says_of_an_error_is_kept() -> None:
    with (
        serving(lambda _: (404, {"error": {"message": "no such model"}})) as server,
        pytest.raises(Unanswered) as caught,
    ):
        ask_with(server)
    assert (caught.value.kind, caught.value.detail) == ("http 404", "no such model")


def test_what_a_server_says_of_a_kind_of_error_is_told_once() -> None:
    told: list[str] = []

    def refuse(number: int) -> Reply:
        message = "no model 'x'; there is m" if number < 3 else "no such path"
        return (404, {"error": {"message": message}})

    async def run(url: str) -> None:
        async with ChatClient(ChatEndpoint(url=url, model="m"), SETTINGS) as client:
            client.tell_refusals(told.append)
            for _ in range(4):
                with pytest.raises(Unanswered):
                    await client.answer(HI)

    with serving(refuse) as server:
        asyncio.run(run(server.url))
    assert told == ["http 404: no model 'x'; there is m"]


def test_a_refusal_takes_tokens_too() -> None:
    said = {"role": "assistant", "content": None, "refusal": "I can't."}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    budget = ChatBudget(ChatCaps(tokens=1000))
    reply = {"choices": [{"message": said}], "usage": usage}
    with serving(lambda _: (200, reply)) as server, pytest.raises(Declined, match="can't"):
        answers(ChatEndpoint(url=server.url, model="m"), budget=budget)
    assert budget.spent.tokens == 10


def test_a_cap_stops_before_the_request_that_could_pass_it() -> None:
    budget = ChatBudget(ChatCaps(requests=2))
    with serving(numbered) as server:
        endpoint = ChatEndpoint(url=server.url, model="m")
        answers(endpoint, repeats=[0, 1], budget=budget)
        with pytest.raises(BudgetSpent, match="requests"):
            answers(endpoint, repeats=[2], budget=budget)
        assert server.asked == 2


def test_a_cap_in_money_needs_prices() -> None:
    with serving(numbered) as server, pytest.raises(UsageError, match="prices"):
        budget = ChatBudget(ChatCaps(money=1.0))
        answers(ChatEndpoint(url=server.url, model="m"), budget=budget)


class Claude:
    """The Anthropic dialect's replies; what was sent lies in the server."""

    def __init__(self, *content: object, stop_reason: str = "end_turn") -> None:
        self.reply = {
            "type": "message",
            "role": "assistant",
            "content": list(content),
            "stop_reason": stop_reason,
            "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5},
        }

    def __call__(self, _: int) -> Reply:
        return 200, self.reply


def ask_claude(
    claude: Claude,
    messages: list[dict[str, object]],
    **more: object,
) -> tuple[Answer, dict[str, object]]:
    async def run(url: str) -> Answer:
        endpoint = ChatEndpoint(url=url, model="c", key=KEY, dialect="anthropic")
        async with ChatClient(endpoint, SETTINGS) as client:
            return await client.answer(messages, **more)  # type: ignore[arg-type]

    with serving(claude) as server:
        found = asyncio.run(run(server.url))
        return found, json.loads(server.bodies[0])


def test_anthropics_dialect_has_its_own_places() -> None:
    text = {"type": "text", "text": "Hello."}
    talk = [message("system", "Be brief."), message("user", "hi"), message("user", "there")]
    found, body = ask_claude(Claude(text, stop_reason="max_tokens"), talk, stop=["END"])
    assert (found.text, found.finish_reason) == ("Hello.", "length")
    assert (found.input_tokens, found.output_tokens) == (7, 5)
    said = [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]
    assert body == {
        "model": "c",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": said}],
        "max_tokens": 8,
        "temperature": 0.0,
        "stop_sequences": ["END"],
    }


def test_anthropics_dialect_has_tools_and_their_results() -> None:
    function = {"name": "look", "parameters": {"type": "object"}}
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
    talk = [
        message("user", "hi"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "found"},
    ]
    use = {"type": "tool_use", "id": "1", "name": "look", "input": {"a": 1}}
    found, body = ask_claude(
        Claude(use, stop_reason="tool_use"),
        talk,
        tools=[{"type": "function", "function": function}],
    )
    assert found.tool_calls == (call,)
    assert found.finish_reason == "tool_calls"
    assert body["tools"] == [{"name": "look", "input_schema": {"type": "object"}}]
    assert body["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [use]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "1", "content": "found"}],
        },
    ]


def test_anthropics_dialect_answers_by_a_schema_or_says_that_it_cannot() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    wished = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    use = {"type": "tool_use", "id": "1", "name": "answer", "input": {"n": 3}}
    found, body = ask_claude(Claude(use), HI, response_format=wished)
    assert msgspec.json.decode(found.text) == {"n": 3}
    assert body["tool_choice"] == {"type": "tool", "name": "answer"}
    with pytest.raises(UsageError, match="json_object"):
        ask_claude(Claude(use), HI, response_format={"type": "json_object"})


def test_anthropics_refusal_is_one() -> None:
    with pytest.raises(Declined):
        ask_claude(Claude(stop_reason="refusal"), HI)


def test_a_full_disk_is_no_broken_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It said to remove the file, in which every answer is that was paid for."""
    connect = sqlite3.connect

    def connected(path: Path, **options: Any) -> sqlite3.Connection:
        found = connect(path, **options)
        found.execute("PRAGMA page_size=512")
        found.execute("PRAGMA max_page_count=4")
        return found

    monkeypatch.setattr(sqlite3, "connect", connected)
    long = CachedReply(reply=ChatReply(text="x" * 10_000), latency_s=1.0)
    with (
        ChatCache(tmp_path / "cache") as cache,
        pytest.raises(EnvironmentMissing, match="no space left writing") as told,
    ):
        cache.put(b"key", long)
    assert "free some space" in (told.value.hint or "")
    assert "remove" not in (told.value.hint or "")


def test_a_cache_that_may_only_be_read_is_not_to_be_removed(tmp_path: Path) -> None:
    """Another user's, say. SQLite only reads a file whose form is of a later version."""
    path = tmp_path / "cache"
    with ChatCache(path) as cache:
        cache.put(b"other", CachedReply(reply=ChatReply(text="x"), latency_s=1.0))
    raw = bytearray(path.read_bytes())
    raw[18] = 3
    path.write_bytes(raw)
    with (
        pytest.raises(EnvironmentMissing, match="Permission denied") as told,
        ChatCache(path) as cache,
    ):
        cache.put(b"key", CachedReply(reply=ChatReply(text="x"), latency_s=1.0))
    assert "remove" not in (told.value.hint or "")
