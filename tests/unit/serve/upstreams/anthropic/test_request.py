"""Each field of a chat is sent to an upstream of Anthropic's, needed elsewhere, or told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from llmops_cli.runtime.messages_words import NotInMessages
from llmops_cli.serve.field_tables import CHAT_FIELDS
from llmops_cli.serve.fields import READ, Carries
from llmops_cli.serve.upstreams.anthropic.request import (
    NEEDED,
    SENT,
    messages_body,
)

HI = [{"role": "user", "content": "Hi"}]


def raw(**fields: object) -> dict[str, msgspec.Raw]:
    body = {"model": "m", "messages": HI, **fields}
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}


def sent(**fields: object) -> dict[str, Any]:
    """What arrives, beside the turns."""
    made = messages_body(raw(**fields)).encoded("theirs", has_effort=True)
    body: dict[str, Any] = msgspec.json.decode(made)
    assert body.pop("model") == "theirs"
    assert body.pop("messages") == HI
    return body


def test_what_reaches_a_model_is_never_left_out() -> None:
    """Nor how many answers there are, nor what bounds them."""
    for name, field in CHAT_FIELDS.items():
        if field.carries in (*READ, Carries.ANSWERS, Carries.LIMIT):
            told = ("chat_template_kwargs", "prediction", "guided_whitespace_pattern")
            assert name in SENT or name in NEEDED or name in (*told, "grammar_triggers"), name
    assert not SENT & NEEDED


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, {"max_tokens": 4096}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 6, "max_tokens": None}, {"max_tokens": 6}),
        ({"stop": "END"}, {"max_tokens": 4096, "stop_sequences": ["END"]}),
        ({"stop": ["a", "b", ""]}, {"max_tokens": 4096, "stop_sequences": ["a", "b"]}),
        ({"stream": True, "stream_options": {}}, {"max_tokens": 4096, "stream": True}),
        ({"temperature": 0, "top_p": 0.5}, {"max_tokens": 4096, "temperature": 0, "top_p": 0.5}),
        ({"temperature": 1.0, "top_p": 1, "n": 1}, {"max_tokens": 4096}),
        ({"temperature": 1.4, "top_k": 5}, {"max_tokens": 4096, "temperature": 1.0, "top_k": 5}),
        ({"user": "u"}, {"max_tokens": 4096, "metadata": {"user_id": "u"}}),
        (
            {"user": "u", "safety_identifier": "s"},
            {"max_tokens": 4096, "metadata": {"user_id": "s"}},
        ),
        ({"reasoning_effort": "none"}, {"max_tokens": 4096, "thinking": {"type": "disabled"}}),
        (
            {"reasoning_effort": "minimal"},
            {"max_tokens": 4096, "output_config": {"effort": "low"}},
        ),
        (
            {"reasoning_effort": "high", "thinking": {"type": "adaptive"}},
            {"max_tokens": 4096, "thinking": {"type": "adaptive"}},
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 9000}},
            {"max_tokens": 13096, "thinking": {"type": "enabled", "budget_tokens": 9000}},
        ),
        (
            {"max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 4096}},
            {"max_tokens": 8192, "thinking": {"type": "enabled", "budget_tokens": 4096}},
        ),
        (
            {"max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 4096}},
            {"max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 4096}},
        ),
        ({"response_format": {"type": "text"}}, {"max_tokens": 4096}),
        ({"tool_choice": "auto", "tools": []}, {"max_tokens": 4096}),
    ],
)
def test_settings_are_sent(fields: dict[str, object], found: dict[str, object]) -> None:
    assert sent(**fields) == found


def test_a_schema_and_an_effort_stand_in_one_place() -> None:
    schema = {"type": "object", "properties": {}}
    named = {"name": "n", "schema": schema, "strict": True}
    wished = {"type": "json_schema", "json_schema": named}
    form = {"type": "json_schema", "schema": schema}
    body = messages_body(raw(response_format=wished, reasoning_effort="low"))
    full = msgspec.json.decode(body.encoded("m", has_effort=True))
    assert full["output_config"] == {"format": form, "effort": "low"}
    without = msgspec.json.decode(body.encoded("m", has_effort=False))
    assert without["output_config"] == {"format": form}


def test_a_prompt_is_marked_for_a_cache_where_the_file_says_so() -> None:
    body = messages_body(raw())
    marked = msgspec.json.decode(body.encoded("m", has_effort=True, is_cached=True))
    assert marked["cache_control"] == {"type": "ephemeral"}
    mark = {"type": "ephemeral", "ttl": "1h"}
    own = messages_body(raw(cache_control=mark), further=["cache_control"])
    marked = msgspec.json.decode(own.encoded("m", has_effort=True, is_cached=True))
    assert marked["cache_control"] == mark


@pytest.mark.parametrize("of_a_tool", [True, False])
def test_a_prompt_with_a_clients_marks_has_no_other(*, of_a_tool: bool) -> None:
    """The dialect takes four of them at most."""
    mark = {"cache_control": {"type": "ephemeral"}}
    part = {"type": "text", "text": "Hi", **({} if of_a_tool else mark)}
    tool = {"type": "function", "function": {"name": "f"}, **(mark if of_a_tool else {})}
    fields = raw(messages=[{"role": "user", "content": [part]}], tools=[tool])
    body = messages_body(fields)
    found = body.encoded("m", has_effort=True, is_cached=True)
    assert found.count(b"cache_control") == 1
    assert body.unsent == ()


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "abc"}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "Rain"}


@pytest.mark.parametrize(
    ("talk", "kind", "thinks"),
    [
        ([*HI, {**CALLED, "thinking_blocks": [SIGNED]}, RESULT], "enabled", True),
        ([*HI, CALLED, RESULT], "enabled", False),
        ([*HI, {**CALLED, "thinking_blocks": [{**SIGNED, "signature": ""}]}, RESULT], "enabled", 0),
        ([*HI, {**CALLED, "thinking_blocks": "x"}, RESULT], "enabled", False),
        ([*HI, CALLED, RESULT], "adaptive", True),
        ([*HI, CALLED, RESULT, {"role": "assistant", "content": "Wet."}, *HI], "enabled", True),
        (HI, "enabled", True),
    ],
)
def test_a_model_thinks_on_behind_its_calls_only_with_what_it_thought(
    talk: list[Any], kind: str, thinks: object
) -> None:
    """It refuses that otherwise; the client is told."""
    body = messages_body(raw(messages=talk, thinking={"type": kind, "budget_tokens": 2000}))
    found = msgspec.json.decode(body.encoded("m", has_effort=True))
    assert ("thinking" in found) == bool(thinks)
    assert body.unsent == (() if thinks else ("thinking",))


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_of_many_marks_four_arrive(count: int) -> None:
    """The first is of what all talks have, the last ones of this talk."""
    mark = {"cache_control": {"type": "ephemeral"}}
    tools = [{"type": "function", "function": {"name": "f"}, **mark}]
    talk: list[Any] = [{"role": "system", "content": [{"type": "text", "text": "S", **mark}]}]
    for number in range(count - 2):
        content = [{"type": "text", "text": f"{number}", **mark}]
        talk.append({"role": ("user", "assistant")[number % 2], "content": content})
    body = messages_body(raw(messages=talk, tools=tools))
    sent_body = msgspec.json.decode(body.encoded("m", has_effort=True, is_cached=True))
    turns = [turn["content"][0] for turn in sent_body["messages"]]
    blocks = [*sent_body["tools"], *sent_body["system"], *turns]
    kept = [number for number, block in enumerate(blocks) if "cache_control" in block]
    last = list(range(count))[-3:]
    assert kept == (sorted({0, *last}) if count > 4 else list(range(count)))
    assert body.unsent == (("cache_control",) if count > 4 else ())


@pytest.mark.parametrize(
    ("mark", "unsent", "is_sent"),
    [
        ({"type": "ephemeral", "ttl": "5m"}, (), True),
        ({"type": "ephemeral", "ttl": "1h"}, ("cache_control.ttl",), True),
        ({"type": "ephemeral", "ttl": ["1h"]}, ("cache_control.ttl",), True),
        ({"type": "for ever"}, ("cache_control",), False),
        ({}, ("cache_control",), False),
        ("ephemeral", (), False),
        (None, (), False),
    ],
)
def test_a_mark_costs_what_the_file_says(
    mark: object, unsent: tuple[str, ...], *, is_sent: bool
) -> None:
    """A cache that is kept for an hour costs twice as much to write."""
    part = {"type": "text", "text": "Hi", "cache_control": mark}
    body = messages_body(raw(messages=[{"role": "user", "content": ["So.", part]}]))
    [turn] = msgspec.json.decode(body.fields["messages"])
    assert turn["content"][1].get("cache_control") == ({"type": "ephemeral"} if is_sent else None)
    assert body.unsent == unsent


def test_the_file_says_how_long_an_answer_may_be_and_what_passes() -> None:
    fields = raw(service_tier="auto", seed=1)
    body = messages_body(fields, further=["service_tier", "seed"])
    found = msgspec.json.decode(body.encoded("m", has_effort=True, unsaid_tokens=99))
    assert (found["max_tokens"], found["service_tier"], found["seed"]) == (99, "auto", 1)


def test_what_passes_does_not_replace_what_a_chat_says() -> None:
    talk = [{"role": "system", "content": "Ours."}, *HI]
    body = messages_body(raw(messages=talk, system="Theirs."), further=["system"])
    assert msgspec.json.decode(body.fields["system"]) == "Ours."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("seed", 0),
        ("logprobs", True),
        ("logit_bias", {"5": 1}),
        ("modalities", ["text", "audio"]),
        ("functions", [{"name": "f"}]),
        ("guided_json", {"type": "object"}),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema"}),
        ("stop", ["\n\n"]),
        ("reasoning_effort", "immense"),
        ("reasoning_effort", ["high"]),
        ("thinking", "auto"),
        ("tool_choice", "whatever"),
        ("messages", [{"role": "system", "content": "alone"}]),
        ("messages", "Hi"),
        ("tools", {"a": 1}),
    ],
)
def test_what_has_no_word_there_is_named(name: str, value: object) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    with pytest.raises(NotInMessages) as caught:
        messages_body(raw(**{"tools": [tool], name: value}))
    assert caught.value.field == name


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "logprobs": False, "logit_bias": {}, "seed": None, "modalities": ["text"]},
        {"top_logprobs": 0, "presence_penalty": 0, "store": False, "metadata": {}},
    ],
)
def test_what_asks_for_nothing_stands_in_nobodys_way(fields: dict[str, object]) -> None:
    assert sent(**fields) == {"max_tokens": 4096}
    assert messages_body(raw(**fields)).unsent == ()


def test_what_is_left_out_is_told() -> None:
    fields = raw(presence_penalty=0.5, store=True, min_p=0.1, temperature=1.5)
    assert messages_body(fields).unsent == ("presence_penalty", "store", "min_p", "temperature")
    others = ("presence_penalty", "store", "temperature")
    assert messages_body(fields, ["min_p"]).unsent == others
