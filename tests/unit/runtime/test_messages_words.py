"""A chat's turns, tools and images in Anthropic's words, and what has no word there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from llmops_cli.runtime.chat_dialects import SPELLINGS, ChatRequest
from llmops_cli.runtime.messages_words import (
    NotInMessages,
    marks_in,
    system_of,
    tool_choice_of,
    tool_of,
    turns_of,
    use_of,
)

MARK = {"type": "ephemeral"}


def user(*parts: object) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def called(arguments: object, call_id: object = "c") -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "f", "arguments": arguments},
    }


def test_what_the_system_says_stands_apart_wherever_it_stood() -> None:
    talk: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
    ]
    assert system_of(talk) == "Be brief.\n\nBe kind."
    assert turns_of(talk) == [{"role": "user", "content": "Hi"}]
    talk[2]["content"][0]["cache_control"] = MARK
    assert system_of(talk) == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Be kind.", "cache_control": MARK},
    ]
    assert system_of([{"role": "system", "content": ""}]) is None
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    with pytest.raises(NotInMessages, match="system"):
        system_of([{"role": "system", "content": [image]}])


@pytest.mark.parametrize("empty", ["", " ", "\n\t \n"])
def test_empty_turns_and_texts_are_left_out(empty: str) -> None:
    """The dialect refuses them, and those of white space alone."""
    talk: list[dict[str, Any]] = [
        {"role": "system", "content": empty},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": empty},
        {"role": "assistant", "content": None, "refusal": empty},
        {"role": "user", "content": [{"type": "text", "text": empty}, empty]},
        {"role": "user", "content": [{"type": "text", "text": "there"}]},
    ]
    said = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]
    assert turns_of(talk) == [{"role": "user", "content": said}]
    assert system_of(talk) is None
    result = {"type": "tool_result", "tool_use_id": "b", "content": ""}
    [turn] = turns_of([{"role": "tool", "tool_call_id": "b", "content": empty}])
    assert turn["content"] == [result]


def test_calls_and_results_find_each_other_whatever_their_ids_are() -> None:
    talk: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Well.", "tool_calls": [called("{}", "functions.f:0")]},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": "7"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "8"}]},
        {"role": "user", "content": "And?"},
    ]
    turns = turns_of(talk)
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"][1]["id"] == turns[2]["content"][0]["tool_use_id"]
    assert turns[2]["content"][1]["content"] == [{"type": "text", "text": "8"}]
    assert turns[2]["content"][2] == {"type": "text", "text": "And?"}


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"a": 1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ("", {}),
        (None, {}),
        ("  ", {}),
        ("{", {"INVALID_JSON": "{"}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        (7, {"INVALID_JSON": 7}),
    ],
)
def test_an_input_is_an_object_whatever_a_model_wrote(
    arguments: object, given: dict[str, object]
) -> None:
    assert use_of(called(arguments))["input"] == given


def test_images_and_files_have_sources() -> None:
    png = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    link = {"type": "image_url", "image_url": "https://example.org/a.png"}
    data = "data:application/pdf;base64,BBBB"
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}
    [turn] = turns_of(user(png, {**link, "cache_control": MARK}, file))
    assert turn["content"] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        },
        {
            "type": "image",
            "source": {"type": "url", "url": "https://example.org/a.png"},
            "cache_control": MARK,
        },
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"},
            "title": "a.pdf",
        },
    ]


@pytest.mark.parametrize(
    "url",
    ["data:image/jpg;base64,AAAA", "data:image/jpeg;charset=utf-8;base64,AAAA"],
)
def test_an_images_kind_is_one_that_is_taken(url: str) -> None:
    [turn] = turns_of(user({"type": "image_url", "image_url": {"url": url}}))
    source = {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}
    assert turn["content"] == [{"type": "image", "source": source}]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "image_url", "image_url": {"url": "http://example.org/a.png"}}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}}, "image_url"),
        ({"type": "image_url"}, "image_url"),
        ({"type": "file", "file": {"file_id": "f"}}, "file"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "messages"),
        ({"type": "text"}, "messages"),
        (7, "messages"),
    ],
)
def test_a_part_without_a_counterpart_is_named(part: object, field: str) -> None:
    with pytest.raises(NotInMessages) as caught:
        turns_of(user(part))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "assistant", "function_call": {"name": "f"}}, "function_call"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}, "tool_calls"),
        ({"role": "function", "content": "7"}, "messages"),
        ({"role": "user", "content": 7}, "messages"),
    ],
)
def test_a_turn_without_a_counterpart_is_named(message: dict[str, Any], field: str) -> None:
    with pytest.raises(NotInMessages) as caught:
        turns_of([message])
    assert caught.value.field == field


def test_a_tool_has_the_schema_of_an_object() -> None:
    bare = tool_of({"type": "function", "function": {"name": "f"}})
    assert bare == {"name": "f", "input_schema": {"type": "object"}}
    function = {"name": "f", "description": "F", "parameters": {"properties": {}}, "strict": True}
    assert tool_of({"type": "function", "function": function, "cache_control": MARK}) == {
        "name": "f",
        "description": "F",
        "input_schema": {"type": "object", "properties": {}},
        "strict": True,
        "cache_control": MARK,
    }
    with pytest.raises(NotInMessages):
        tool_of({"type": "custom", "custom": {"name": "f"}})


@pytest.mark.parametrize(
    ("choice", "is_parallel", "found"),
    [
        (None, True, None),
        ("auto", True, None),
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", True, {"type": "any"}),
        ("none", False, {"type": "none"}),
        (
            {"type": "function", "function": {"name": "f"}},
            False,
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_a_choice_of_tools(choice: object, *, is_parallel: bool, found: object) -> None:
    assert tool_choice_of(choice, is_parallel=is_parallel) == found


def test_a_choice_of_several_tools_has_no_counterpart() -> None:
    with pytest.raises(NotInMessages, match="tool_choice"):
        tool_choice_of({"type": "allowed_tools"}, is_parallel=True)


def test_a_message_that_is_marked_is_marked_at_its_end() -> None:
    """As LiteLLM's clients write it; it was left out, and nobody told."""
    talk: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief.", "cache_control": MARK},
        {"role": "user", "content": ["a", "b"], "cache_control": MARK},
        {"role": "assistant", "content": "c", "tool_calls": [called("{}")], "cache_control": MARK},
        {"role": "tool", "tool_call_id": "c", "content": "d", "cache_control": MARK},
        {"role": "user", "content": "", "cache_control": MARK},
    ]
    assert system_of(talk) == [{"type": "text", "text": "Be brief.", "cache_control": MARK}]
    marked = [
        [block["type"] for block in turn["content"] if "cache_control" in block]
        for turn in turns_of(talk)
    ]
    assert marked == [["text"], ["tool_use"], ["tool_result"]]
    assert "cache_control" not in turns_of(talk)[0]["content"][0]
    assert len(list(marks_in(talk, None))) == len(talk)


def test_of_many_marks_a_client_of_ours_sends_four() -> None:
    mark = {"cache_control": MARK}
    talk = [
        {"role": role, "content": [{"type": "text", "text": role, **mark}]}
        for role in ("system", "user", "assistant", "user", "assistant", "user")
    ]
    body = SPELLINGS["anthropic"].body("m", ChatRequest(messages=talk))
    assert msgspec.json.encode(body).count(b'"cache_control"') == 4
    assert msgspec.json.encode(talk).count(b'"cache_control"') == 6
