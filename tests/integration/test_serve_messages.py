"""Anthropic's Messages at a gateway that runs, as Anthropic's own client sees them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.chat_upstream import CALLS, COUNT, MODELS, TEXT, THOUGHT, ChatUpstream
from tests.gateway import Gateway, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
HI: Any = [{"role": "user", "content": "Hi"}]
TOOL: Any = {"name": "weather", "input_schema": {"type": "object"}}


@pytest.fixture
def chats() -> Iterator[ChatUpstream]:
    found = ChatUpstream()
    yield found
    found.close()


@pytest.fixture
def gateway(chats: ChatUpstream, start: Starter) -> Gateway:
    return start(chats.url)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as found:
        yield found


def test_a_prompt_is_counted_by_the_upstreams_tokenizer(
    chats: ChatUpstream, client: anthropic.Anthropic
) -> None:
    asked: Any = {"model": "text", "messages": HI, "system": "Be brief.", "tools": [TOOL]}
    answer = client.messages.with_raw_response.count_tokens(**asked)
    assert answer.parse().input_tokens == COUNT
    assert answer.headers["x-llmops-token-count"] == "tokenizer"
    sent = chats.seen[-1]
    assert (sent["model"], sent["add_generation_prompt"]) == ("text", True)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert sent["tools"][0]["function"]["name"] == "weather"

    chats.is_llamacpp = True
    answer = client.messages.with_raw_response.count_tokens(**asked)
    assert answer.parse().input_tokens == COUNT
    assert chats.seen[-1]["content"] == "<user> Hi"

    chats.lacks = {"/tokenize"}
    answer = client.messages.with_raw_response.count_tokens(**asked)
    assert 5 < answer.parse().input_tokens < 60
    assert answer.headers["x-llmops-token-count"] == "estimate"


def test_a_prompt_with_an_image_is_an_estimate(client: anthropic.Anthropic) -> None:
    image = {"type": "url", "url": "https://example.org/a.png"}
    content: Any = [{"type": "image", "source": image}]
    messages: Any = [{"role": "user", "content": content}]
    answer = client.messages.with_raw_response.count_tokens(model="text", messages=messages)
    assert answer.parse().input_tokens > COUNT
    assert answer.headers["x-llmops-token-count"] == "estimate"


def test_an_odd_prompt_is_not_counted(gateway: Gateway, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.count_tokens(model="nope", messages=HI)
    path = "/v1/messages/count_tokens"
    for body in ({"model": "text"}, {"model": "text", "messages": []}, {"messages": HI}):
        status, _, said = gateway.ask(body, path=path)
        assert (status, json.loads(said)["type"]) == (400, "error")


def test_reasoning_comes_back_to_the_upstream_that_gave_it(
    chats: ChatUpstream, client: anthropic.Anthropic
) -> None:
    first = client.messages.create(model="reasoning", max_tokens=50, messages=HI)
    thought, text = first.content
    assert (thought.type, text.type) == ("thinking", "text")
    assert thought.thinking == THOUGHT  # type: ignore[union-attr]
    assert first.usage.input_tokens + (first.usage.cache_read_input_tokens or 0) == 50
    assert first.usage.cache_read_input_tokens == 32
    turns: Any = [*HI, first.to_param(), {"role": "user", "content": "And?"}]
    client.messages.create(model="reasoning", max_tokens=50, messages=turns)
    sent = chats.seen[-1]["messages"][1]
    assert (sent["content"], sent["reasoning_content"]) == (TEXT, THOUGHT)
    assert not chats.faults


def test_mixed_tool_calls_are_told_one_after_the_other(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="tools", max_tokens=50, messages=HI, tools=[TOOL]) as stream:
        final = stream.get_final_message()
    found = {block.id: (block.name, block.input) for block in final.content}  # type: ignore[union-attr]
    assert found == CALLS
    assert final.stop_reason == "tool_use"


def test_what_is_not_sent_is_named(chats: ChatUpstream, client: anthropic.Anthropic) -> None:
    marked: Any = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]
    answer = client.messages.with_raw_response.create(
        model="text",
        max_tokens=5,
        messages=[{"role": "user", "content": marked}],
        service_tier="auto",
        extra_headers={"anthropic-beta": "context-1m-2025-08-07"},
        extra_body={"from_the_future": {"a": 1}},
    )
    named = answer.headers["x-llmops-unsent"].split(", ")
    assert set(named) == {
        "service_tier",
        "from_the_future",
        "text.cache_control",
        "anthropic-beta",
    }
    assert not {"service_tier", "from_the_future"} & set(chats.seen[-1])
    assert answer.headers["request-id"] == answer.headers["x-request-id"]


def test_nothing_is_shown_of_what_only_warms_a_cache(
    chats: ChatUpstream, client: anthropic.Anthropic
) -> None:
    for stream in (False, True):
        answer = client.messages.create(model="text", max_tokens=0, messages=HI, stream=stream)
        assert chats.seen[-1]["max_tokens"] == 1
        if not stream:
            assert (answer.content, answer.stop_reason) == ([], "max_tokens")  # type: ignore[union-attr]
        else:
            kinds = [event.type for event in answer]  # type: ignore[union-attr]
            assert "content_block_start" not in kinds


ODD_ANSWERS: list[dict[str, Any]] = [
    {"content": 3},
    {"content": [3]},
    {"tool_calls": 3},
    {"tool_calls": [{"function": {"arguments": "{}"}}]},
]


def test_an_odd_answer_is_a_bad_gateway(upstream: Upstream, start: Starter) -> None:
    gateway = start(upstream.url)
    body = {"model": "m", "max_tokens": 5, "messages": HI}
    for extra in ODD_ANSWERS:
        upstream.extra = extra
        status, headers, said = gateway.ask(body, path="/v1/messages")
        assert (status, json.loads(said)["error"]["type"]) == (502, "api_error"), extra
        assert headers["content-type"] == "application/json"
    time.sleep(0.3)
    assert {line["status"] for line in gateway.audit()} == {502}


def test_a_stream_that_breaks_ends_with_an_error_event(upstream: Upstream, start: Starter) -> None:
    upstream.mode = "half"
    gateway = start(upstream.url)
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client,
        pytest.raises(anthropic.APIError),
        client.messages.stream(model="m", max_tokens=5, messages=HI) as stream,
    ):
        stream.get_final_message()


def test_anthropics_client_lists_the_models(client: anthropic.Anthropic) -> None:
    page = client.models.list()
    assert {model.id for model in page.data} == set(MODELS)
    assert not page.has_more
    model = client.models.retrieve("text")
    assert (model.id, model.display_name, model.type) == ("text", "text", "model")


def test_an_upstream_that_knows_no_effort_gets_none_and_the_client_is_told(
    chats: ChatUpstream, start: Starter
) -> None:
    gateway = start.config(f"upstreams: {{a: {{url: '{chats.url}', effort: false}}}}\n")
    thinking = {"type": "disabled"}
    body = {"model": "text", "max_tokens": 5, "messages": HI, "thinking": thinking}
    status, headers, _ = gateway.ask(body, path="/v1/messages")
    assert (status, headers["x-llmops-unsent"]) == (200, "reasoning_effort")
    assert "reasoning_effort" not in chats.seen[-1]
