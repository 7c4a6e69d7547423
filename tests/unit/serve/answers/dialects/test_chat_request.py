"""A chat whose body has the form of Responses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.serve.answers.dialects.chat_request import chat_of
from llmops_cli.serve.refusal import Refusal


def translated(body: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    chat, unsent = chat_of(json.dumps({"model": "m", **body}).encode())
    return json.loads(chat), unsent


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [], "input": "both"},
        {"messages": [{"role": "user", "content": '"input"'}]},
        {"tools": [{"parameters": {"properties": {"input": {}}}}]},
    ],
)
def test_a_chat_in_its_own_form_stays_as_it_is(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    assert chat_of(raw) == (raw, b"")


def test_a_body_in_the_form_of_responses_is_the_chat_that_it_means() -> None:
    tool = {"type": "function", "name": "f", "parameters": {}}
    chat, unsent = translated(
        {
            "instructions": "Be kind",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "1"},
                {
                    "type": "function_call_output",
                    "call_id": "b",
                    "output": [{"type": "input_text", "text": "2"}],
                },
            ],
            "tools": [tool],
            "tool_choice": {"type": "function", "name": "f"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
            "max_output_tokens": 9,
            "include": ["reasoning.encrypted_content"],
            "stream": True,
        }
    )
    calls = [
        {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for name in ("a", "b")
    ]
    assert chat["messages"] == [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]
    assert chat["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert chat["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert chat["response_format"]["json_schema"] == {"name": "n", "schema": {}}
    assert (chat["reasoning_effort"], chat["max_tokens"], chat["stream"]) == ("low", 9, True)
    assert unsent == b"include, reasoning, reasoning.summary"
    assert not {"input", "instructions", "text", "reasoning", "include"} & set(chat)


@pytest.mark.parametrize(
    "body",
    [
        {"input": None},
        {"input": [3]},
        {"input": [{"role": "user"}]},
        {"input": [{"type": "item_reference", "id": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        {"input": "x", "previous_response_id": "resp_1"},
        {"input": "x", "tools": [{"type": "web_search"}]},
        {"input": "x", "tools": [3]},
        {"input": "x", "reasoning": "low"},
        {"input": "x", "text": {"format": 3}},
    ],
)
def test_what_has_no_counterpart_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        translated(body)
    assert refused.value.status == 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
FIELDS = ("input", "instructions", "tools", "tool_choice", "reasoning", "text", "include")


@settings(max_examples=100)
@given(fields=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4))
def test_odd_bodies_are_refused_or_translated(fields: dict[str, Any]) -> None:
    try:
        translated({"input": "x", **fields})
    except (msgspec.DecodeError, Refusal):
        return
