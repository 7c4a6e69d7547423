"""Upstreams in Anthropic's dialect behind a gateway that runs, as real clients see them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest

from tests.anthropic_upstream import (
    CALL,
    COUNT,
    HELLO,
    MODEL,
    USAGE,
    AnthropicUpstream,
    event,
    events_of,
    failure,
    message,
)
from tests.gateway import Gateway, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
KEY = "sk-ant-of-the-gateway-0123456789"
HI: Any = [{"role": "user", "content": "Hi"}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
FILE = """\
upstreams:
  claude:
    url: '{claude}'
    dialect: anthropic
    key_env: CLAUDE_KEY
    price: {{input: 1000, output: 10000, cached_input: 100, cache_write: 2000}}
  gpt: {{url: '{gpt}'}}
models:
  claude: {{pool: [{{upstream: claude, model: {model}}}]}}
  both: {{pool: [{{upstream: claude, model: {model}}}, gpt], balance: cost}}
  first: {{pool: [{{upstream: claude, model: {model}}}], fallback: [gpt]}}
  gpt: {{pool: [gpt], fallback: [claude]}}
{more}"""


@pytest.fixture
def claude() -> Iterator[AnthropicUpstream]:
    found = AnthropicUpstream()
    yield found
    found.close()
    assert found.faults == []


@pytest.fixture
def gateway(claude: AnthropicUpstream, upstream: Upstream, start: Starter) -> Gateway:
    return started(claude, upstream, start)


def started(
    claude: AnthropicUpstream,
    upstream: Upstream,
    start: Starter,
    more: str = "",
) -> Gateway:
    start.env["CLAUDE_KEY"] = KEY
    upstream.names = ["gpt"]
    text = FILE.format(claude=claude.url, gpt=upstream.url, model=MODEL, more=more)
    return start.config(text)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    url = f"{gateway.url}/v1"
    with openai.OpenAI(base_url=url, api_key=gateway.key, max_retries=0) as found:
        yield found


@pytest.fixture
def theirs(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as found:
        yield found


def test_a_chat_is_answered_and_counted(
    client: openai.OpenAI, gateway: Gateway, claude: AnthropicUpstream
) -> None:
    talk: Any = [{"role": "system", "content": "Be brief."}, *HI]
    raw = client.chat.completions.with_raw_response.create(
        model="claude",
        messages=talk,
        stop=["END"],
        presence_penalty=0.5,
        extra_headers={"x-secret-of-the-client": "s"},
    )
    assert raw.headers["x-llmops-unsent"] == "presence_penalty"
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODEL
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (150, 9)
    assert claude.seen == [
        {
            "model": MODEL,
            "system": "Be brief.",
            "messages": HI,
            "max_tokens": 4096,
            "stop_sequences": ["END"],
        }
    ]
    [headers] = claude.headers
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert claude.paths == ["/v1/messages"]
    assert "authorization" not in headers
    assert gateway.key not in str(headers)
    assert "x-secret-of-the-client" not in headers
    line = gateway.audited()[-1]
    dollars = 20 * 1e-3 + 100 * 1e-4 + 30 * 2e-3 + 9 * 1e-2
    assert line["dollars"] == pytest.approx(dollars)


def test_a_stream_is_told_word_by_word(client: openai.OpenAI, claude: AnthropicUpstream) -> None:
    claude.step = 7
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model="claude", messages=HI, stream=True, stream_options=options
        )
    )
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [word for word in words if word] == ["Hello", " there."]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 150
    assert "usage" not in chunks[0].model_fields_set
    assert claude.seen[-1]["stream"] is True


@pytest.mark.parametrize("streams", [False, True])
def test_tools_are_called_and_answered(
    client: openai.OpenAI, claude: AnthropicUpstream, *, streams: bool
) -> None:
    claude.content = [HELLO, CALL, {**CALL, "id": "toolu_2", "input": {}}]
    claude.stop_reason = "tool_use"
    asked: Any = {"model": "claude", "messages": HI, "tools": [TOOL], "tool_choice": "required"}
    if streams:
        with client.chat.completions.stream(**asked) as stream:
            answer: Any = stream.get_final_completion()
    else:
        answer = client.chat.completions.create(**asked)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = [(call.id, json.loads(call.function.arguments)) for call in choice.message.tool_calls]
    assert calls == [("toolu_1", {"city": "Oslo"}), ("toolu_2", {})]
    [tool] = claude.seen[-1]["tools"]
    assert tool["input_schema"] == TOOL["function"]["parameters"]
    assert claude.seen[-1]["tool_choice"] == {"type": "any"}

    claude.content = [HELLO]
    results: Any = [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "7 degrees"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "none"},
    ]
    said = choice.message.to_dict()
    more: Any = [*HI, said, *results, {"role": "user", "content": "So?"}]
    client.chat.completions.create(model="claude", messages=more, tools=[TOOL])
    turns = claude.seen[-1]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["type"] for block in turns[1]["content"]] == ["text", "tool_use", "tool_use"]
    kinds = [block["type"] for block in turns[2]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]


def test_images_and_schemas_arrive(client: openai.OpenAI, claude: AnthropicUpstream) -> None:
    data = "iVBORw0KGgo="
    parts: Any = [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    talk: Any = [{"role": "user", "content": parts}]
    client.chat.completions.create(model="claude", messages=talk, response_format=form)
    sent = claude.seen[-1]
    sources = [block["source"] for block in sent["messages"][0]["content"][1:]]
    assert sources == [
        {"type": "base64", "media_type": "image/png", "data": data},
        {"type": "url", "url": "https://example.org/a.png"},
    ]
    assert sent["output_config"]["format"] == {"type": "json_schema", "schema": schema}


def test_anthropics_own_client_gets_what_the_upstream_said(
    theirs: anthropic.Anthropic, claude: AnthropicUpstream
) -> None:
    """There and back: OpenAI's form in between takes nothing away that counts."""
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "abc"}
    claude.content = [thought, HELLO, CALL]
    claude.stop_reason = "tool_use"
    tool: Any = {"name": "weather", "input_schema": {"type": "object"}}
    asked: Any = {"model": "claude", "max_tokens": 50, "messages": HI, "tools": [tool]}
    whole = theirs.messages.create(**asked)
    with theirs.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    for found in (whole, final):
        assert [block.type for block in found.content] == ["thinking", "text", "tool_use"]
        assert found.content[2].input == {"city": "Oslo"}  # type: ignore[union-attr]
        assert found.stop_reason == "tool_use"
        assert found.usage.input_tokens == USAGE["input_tokens"]
        assert found.usage.cache_read_input_tokens == USAGE["cache_read_input_tokens"]
        assert found.usage.cache_creation_input_tokens == USAGE["cache_creation_input_tokens"]
    turns: Any = [*HI, final.to_param(), {"role": "user", "content": "Go on."}]
    result: Any = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "7"}
    turns[-1]["content"] = [result]
    theirs.messages.create(model="claude", max_tokens=50, messages=turns, tools=[tool])
    assert claude.seen[-1]["messages"][1]["content"][1]["name"] == "weather"

    claude.content = [HELLO]
    claude.stop_reason = "stop_sequence"
    claude.stop_sequence = "END"
    stopped = theirs.messages.create(
        model="claude", max_tokens=5, messages=HI, stop_sequences=["END"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "END")
    counted = theirs.messages.with_raw_response.count_tokens(model="claude", messages=HI)
    assert counted.parse().input_tokens == COUNT
    assert counted.headers["x-llmops-token-count"] == "tokenizer"
    assert claude.seen[-1] == {"model": MODEL, "messages": HI}
    image: Any = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    shown: Any = [{"role": "user", "content": [image]}]
    counted = theirs.messages.with_raw_response.count_tokens(model="claude", messages=shown)
    assert counted.parse().input_tokens == COUNT, "it counts images itself"
    assert counted.headers["x-llmops-token-count"] == "tokenizer"


def test_its_models_are_listed_with_its_key(
    client: openai.OpenAI, claude: AnthropicUpstream
) -> None:
    assert {model.id for model in client.models.list()} == {"claude", "both", "first", "gpt"}
    path, headers = claude.lists[0]
    assert path == "/v1/models?limit=1000"
    sent = {name.lower(): value for name, value in headers.items()}
    assert (sent["x-api-key"], sent["anthropic-version"]) == (KEY, "2023-06-01")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"n": 2}, "n "),
        ({"seed": 7}, "seed "),
        ({"logprobs": True}, "logprobs "),
        ({"response_format": {"type": "json_object"}}, "response_format "),
        ({"functions": [{"name": "f"}]}, "functions "),
    ],
)
def test_what_it_cannot_say_is_asked_of_somebody_else_or_refused_by_name(
    client: openai.OpenAI,
    claude: AnthropicUpstream,
    upstream: Upstream,
    fields: dict[str, Any],
    named: str,
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="claude", messages=HI, **fields)
    assert caught.value.code == "unsupported"
    assert named in caught.value.message
    assert claude.seen == []
    client.chat.completions.create(model="both", messages=HI, **fields)
    client.chat.completions.create(model="first", messages=HI, **fields)
    assert claude.seen == []
    assert len(upstream.seen) == 2


def test_other_endpoints_are_refused(client: openai.OpenAI, claude: AnthropicUpstream) -> None:
    with pytest.raises(openai.BadRequestError, match="/v1/embeddings"):
        client.embeddings.create(model="claude", input="Hi")
    with pytest.raises(openai.BadRequestError, match="/v1/completions"):
        client.completions.create(model="claude", prompt="Hi")
    assert claude.seen == []


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(529, "overloaded_error"), (500, "api_error"), (401, "authentication_error")],
)
def test_somebody_else_answers_where_it_fails(
    client: openai.OpenAI,
    claude: AnthropicUpstream,
    upstream: Upstream,
    *,
    streams: bool,
    status: int,
    kind: str,
) -> None:
    claude.failures = [(status, failure(kind), {})] * 4
    if streams:
        chunks = client.chat.completions.create(model="first", messages=HI, stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    else:
        answer = client.chat.completions.create(model="first", messages=HI)
        said = answer.choices[0].message.content or ""
    assert said == "".join(upstream.words)
    assert len(claude.seen) >= 1


def test_it_answers_where_another_fails(
    client: openai.OpenAI, claude: AnthropicUpstream, upstream: Upstream
) -> None:
    upstream.mode = "500"
    answer = client.chat.completions.create(model="gpt", messages=HI)
    assert answer.choices[0].message.content == "Hello there."
    chunks = client.chat.completions.create(model="gpt", messages=HI, stream=True)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "Hello there."
    assert len(claude.seen) == 2


def test_an_error_that_comes_in_a_stream_before_a_word_is_somebody_elses_turn(
    client: openai.OpenAI, claude: AnthropicUpstream, upstream: Upstream
) -> None:
    begun, ping, *_ = events_of(message(HELLO))
    claude.stream = begun + ping + event("error", **failure("overloaded_error"))
    chunks = client.chat.completions.create(model="both", messages=HI, stream=True)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "".join(upstream.words)


def test_errors_have_openais_form(
    client: openai.OpenAI, theirs: anthropic.Anthropic, claude: AnthropicUpstream
) -> None:
    said = f"max_tokens: too many for {KEY}"
    claude.failures = [(400, failure("invalid_request_error", said), {})] * 2
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="claude", messages=HI)
    assert caught.value.body == {
        "message": "max_tokens: too many for ***",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    with pytest.raises(anthropic.BadRequestError) as mirrored:
        theirs.messages.create(model="claude", max_tokens=5, messages=HI)
    assert mirrored.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]

    claude.failures = [(401, failure("authentication_error", f"invalid {KEY}"), {})]
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="claude", messages=HI)
    assert (refused.value.status_code, refused.value.code) == (502, "upstream_refused")
    assert KEY not in str(refused.value)


def test_it_rests_as_long_as_it_asks_for(gateway: Gateway, claude: AnthropicUpstream) -> None:
    claude.failures = [(429, failure("rate_limit_error", "later"), {"retry-after": "7"})]
    status, headers, body = gateway.ask({"model": "claude", "messages": HI})
    assert (status, headers["retry-after"]) == (429, "7")
    assert json.loads(body)["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(
    ("content", "reason", "text", "finish"),
    [
        ([{"type": "text", "text": "Grüße 👋🏽 日本"}], "end_turn", "Grüße 👋🏽 日本", "stop"),
        ([], "end_turn", "", "stop"),
        ([], "refusal", "", "content_filter"),
        ([HELLO], None, "Hello there.", "stop"),
        ([HELLO, HELLO], "pause_turn", "Hello there.Hello there.", "stop"),
        (
            [HELLO, {"type": "redacted_thinking", "data": "x"}, HELLO],
            "max_tokens",
            "Hello there.\n\nHello there.",
            "length",
        ),
    ],
    ids=["letters", "empty", "refusal", "null", "paused", "apart"],
)
def test_odd_answers_arrive_byte_by_byte(
    client: openai.OpenAI,
    theirs: anthropic.Anthropic,
    claude: AnthropicUpstream,
    content: list[Any],
    reason: str | None,
    text: str,
    finish: str,
) -> None:
    claude.content = content
    claude.stop_reason = reason
    claude.stream = b"".join(events_of(claude.message())).replace(b"\n", b"\r\n")
    claude.step = 1
    asked: Any = {"model": "claude", "messages": HI}
    chunks = list(client.chat.completions.create(**asked, stream=True))
    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(each for each in said if each) == text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == finish
    whole = client.chat.completions.create(**asked)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == (text, finish)
    with theirs.messages.stream(**asked, max_tokens=5) as stream:
        final = stream.get_final_message()
    assert "".join(block.text for block in final.content if block.type == "text") == text


@pytest.mark.parametrize("breaks", [False, True])
def test_a_stream_that_is_cut_is_told_to_be(
    client: openai.OpenAI, gateway: Gateway, claude: AnthropicUpstream, *, breaks: bool
) -> None:
    events = list(events_of(message(HELLO)))
    claude.stream = b"".join(events[:-1])
    claude.breaks = breaks
    claude.step = len(claude.stream)
    claude.pause_s = 0.3
    chunks = client.chat.completions.create(model="claude", messages=HI, stream=True)
    words = []
    with pytest.raises(openai.APIError, match="broke off"):
        for chunk in chunks:
            words.append(chunk.choices[0].delta.content)
    assert "".join(word for word in words if word) == "Hello there."
    assert gateway.audited()[-1]["ended"] == "broken"


def test_an_error_after_the_first_words_is_told(
    client: openai.OpenAI, claude: AnthropicUpstream
) -> None:
    events = list(events_of(message(HELLO)))
    claude.stream = b"".join(events[:5]) + event("error", **failure("overloaded_error"))
    claude.step = len(b"".join(events[:5]))
    claude.pause_s = 0.3
    chunks = client.chat.completions.create(model="claude", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        list(chunks)


def test_the_guard_reads_its_answers(
    claude: AnthropicUpstream, upstream: Upstream, start: Starter
) -> None:
    gateway = started(claude, upstream, start, "guard: default\n")
    claude.content = [{"type": "text", "text": "My card is 4111 1111 1111 1111 ok."}]
    for streams in (False, True):
        body = {"model": "claude", "messages": HI, "stream": streams}
        status, _, said = gateway.ask(body)
        assert status == 200
        assert b"1111" not in said
        assert b"[CARD] ok." in said


def test_an_answer_is_given_again(
    claude: AnthropicUpstream, upstream: Upstream, start: Starter
) -> None:
    gateway = started(claude, upstream, start, "cache: {}\n")
    body = {"model": "claude", "messages": HI, "temperature": 0}
    gateway.ask({**body, "stream": True})
    status, headers, said = gateway.ask(body)
    assert (status, headers["x-llmops-cache"]) == (200, "hit")
    assert json.loads(said)["choices"][0]["message"]["content"] == "Hello there."
    assert len(claude.seen) == 1


def many(gateway: Gateway, model: str, count: int) -> list[int]:
    """Statuses, each second request streamed."""

    def ask(number: int) -> int:
        body = {"model": model, "messages": HI, "stream": number % 2 == 0}
        status, _, said = gateway.ask(body)
        return status if b"Hello" in said else 0

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(count)))


CANARY = (
    "  new: {{pool: [gpt], canary: {{use: [{{upstream: claude, model: {model}}}], steps: [50, 100],"
    " step_s: 1, requests: 20, ttft: 99}}}}\n"
)


@pytest.mark.parametrize("is_well", [True, False])
def test_a_canary_of_its_dialect_is_judged_as_any(
    claude: AnthropicUpstream, upstream: Upstream, start: Starter, *, is_well: bool
) -> None:
    if not is_well:
        claude.failures = [(529, failure("overloaded_error"), {})] * 1000
    gateway = started(claude, upstream, start, CANARY.format(model=MODEL))
    admin = start.key("adm", "--role", "admin")
    state = ""
    for _ in range(12):
        assert set(many(gateway, "new", 40)) == {200}
        time.sleep(0.5)
        told = json.loads(gateway.ask(None, path="/admin/state", key=admin)[2])
        state = told["canaries"]["new"]["state"]
        if state != "running":
            break
    assert state == ("done" if is_well else "rolled back")


def test_it_hedges_one_that_is_slow(
    claude: AnthropicUpstream, upstream: Upstream, start: Starter
) -> None:
    more = f"  quick: {{pool: [gpt, {{upstream: claude, model: {MODEL}}}], hedge_after_s: 0.2}}\n"
    gateway = started(claude, upstream, start, more)
    upstream.prefill_s = 4.0
    begun = time.monotonic()
    assert set(many(gateway, "quick", 12)) == {200}
    assert time.monotonic() - begun < 3.5
    assert upstream.seen


def test_what_nobody_counts_is_paid_by_its_words(
    claude: AnthropicUpstream, upstream: Upstream, start: Starter
) -> None:
    """A count that is none was one of 0, which is free."""
    gateway = started(claude, upstream, start)
    said = {**message({"type": "text", "text": "word " * 400}), "usage": {}}
    claude.failures = [(200, said, {})]
    assert gateway.ask({"model": "claude", "messages": HI})[0] == 200
    first, *rest = events_of(message({"type": "text", "text": "word " * 400}))
    claude.stream = first + b"".join(each for each in rest if b"message_delta" not in each)
    assert gateway.ask({"model": "claude", "messages": HI, "stream": True})[0] == 200
    for line in gateway.audited(2):
        assert line["input_tokens"] >= 1
        assert line["output_tokens"] >= 300
        assert line["dollars"] > 3


def test_a_model_that_thinks_and_calls_goes_on_with_its_thoughts(
    client: openai.OpenAI, claude: AnthropicUpstream
) -> None:
    thought = {"type": "thinking", "thinking": "Rain?", "signature": "c2lnbmVk"}
    claude.content = [thought, CALL]
    claude.stop_reason = "tool_use"
    more = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    asked: Any = {"model": "claude", "tools": [TOOL], "extra_body": more}
    turn = client.chat.completions.create(messages=HI, **asked).choices[0].message
    result = {"role": "tool", "tool_call_id": "toolu_1", "content": "Rain"}
    talk: Any = [*HI, turn.model_dump(exclude_none=True), result]
    client.chat.completions.create(messages=talk, **asked)
    assert claude.seen[-1]["messages"][1]["content"] == [thought, CALL]
    assert claude.seen[-1]["thinking"] == more["thinking"]
    assert claude.seen[-1]["max_tokens"] > 2000
