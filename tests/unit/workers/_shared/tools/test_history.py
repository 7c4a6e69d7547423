"""Conversations with tools, for templates that know them and for those that do not."""

from __future__ import annotations

import json
from typing import Any

from _shared.tools.history import with_arguments_as_objects, without_tools

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def call(arguments: object) -> dict[str, Any]:
    function = {"name": "add", "arguments": arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }


def test_arguments_are_json_for_the_template() -> None:
    changed = with_arguments_as_objects(call('{"a": 1}'))
    assert changed["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert changed["tool_calls"][0]["id"] == "1"
    assert with_arguments_as_objects(call("{a")) == call("{a")
    assert with_arguments_as_objects({"role": "user"}) == {"role": "user"}


def test_a_template_without_tools_gets_texts() -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "1+1?"},
        call({"a": 1}),
        {"role": "tool", "tool_call_id": "1", "content": "2"},
    ]
    told = without_tools(messages, [TOOL])
    assert [message["role"] for message in told] == ["system", "user", "assistant", "user"]
    assert told[0]["content"].startswith("Be short.\n\n")
    assert json.dumps(TOOL) in told[0]["content"]
    assert told[2]["content"] == '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    assert told[3]["content"] == "<tool_response>\n2\n</tool_response>"


def test_without_tools_nothing_is_said_of_them() -> None:
    messages = [{"role": "user", "content": "hi"}]
    assert without_tools(messages, []) == messages
    assert without_tools(messages, [TOOL])[0]["role"] == "system"
