"""Choices of a chat completion."""

from __future__ import annotations

from typing import Any

from llmops_cli.serve.answers.dialects.chat import ChatChoices

FORM = ChatChoices()


def merged(*deltas: dict[str, Any]) -> dict[str, Any]:
    choice: dict[str, Any] = {}
    for delta in deltas:
        FORM.merge(choice, {"delta": delta})
    FORM.tidy(choice)
    return choice


def test_deltas_become_a_message() -> None:
    choice = merged({"role": "assistant"}, {"content": "Hel"}, {"content": "lo"})
    assert choice == {"message": {"role": "assistant", "content": "Hello"}}


def test_a_call_of_a_tool_comes_in_pieces() -> None:
    first = {
        "index": 0,
        "id": "c1",
        "function": {"name": "f", "arguments": ""},
    }
    second = {"index": 0, "function": {"arguments": '{"a":'}}
    third = {"index": 0, "function": {"arguments": "1}"}}
    choice = merged(*({"tool_calls": [piece]} for piece in (first, second, third)))
    function = {"name": "f", "arguments": '{"a":1}'}
    call = {
        "id": "c1",
        "type": "function",
        "function": function,
    }
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [call],
    }


def test_who_only_calls_tools_has_no_empty_text() -> None:
    choice = merged({"content": ""}, {"tool_calls": [{"index": 0, "function": {}}]})
    assert choice["message"]["content"] is None


def test_more_words_go_where_they_belong() -> None:
    choice = FORM.empty(2)
    FORM.append(choice, "content", "a")
    FORM.append(choice, "content", "b")
    FORM.append(choice, "tool 3", "{}")
    call = {"index": 3, "function": {"arguments": "{}"}}
    assert choice == {
        "index": 2,
        "delta": {"content": "ab", "tool_calls": [call]},
        "finish_reason": None,
    }
