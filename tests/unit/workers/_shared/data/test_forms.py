"""What data sets hold is taken, or refused by name; never a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _shared.data.forms import FORMS, Chat, PromptCompletion, Text, document_of, form_of
from _shared.data.row_error import RowError

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "yes"}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


def read(row: Any) -> Any:
    return document_of(row, form_of(row))


def test_plain_texts() -> None:
    assert read({"text": "a"}) == read("a") == read({"content": "a"}) == Text("a")


def test_chats_with_answers_to_learn() -> None:
    assert read({"messages": [USER, ANSWER, USER, ANSWER]}) == Chat(
        [USER, ANSWER, USER, ANSWER], (1, 3)
    )
    weighed = {"messages": [USER, {**ANSWER, "weight": 0}, USER, {**ANSWER, "weight": 1}]}
    assert read(weighed).answers == (3,)


def test_tools_and_calls_have_arguments_as_objects() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    result = {"role": "tool", "content": "2", "tool_call_id": "1", "name": "f"}
    for tools in ([tool], json.dumps([tool])):
        chat = read({"messages": [USER, called, result, ANSWER], "tools": tools})
        assert chat.tools == [tool]
        assert chat.messages[1]["content"] == ""
        assert chat.messages[1]["tool_calls"][0]["function"]["arguments"] == {"x": 1}
        assert chat.messages[2] == result
        assert chat.answers == (1, 3)


def test_parts_of_text_are_joined_and_developers_are_the_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    chat = read({"messages": [{"role": "developer", "content": parts}, ANSWER]})
    assert chat.messages[0] == {"role": "system", "content": "ab"}


def test_sharegpt() -> None:
    turns = [
        {"from": "human", "value": "hi"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
        {"from": "observation", "value": "2"},
        {"from": "gpt", "value": "yes"},
    ]
    chat = read({"conversations": turns, "system": "be kind"})
    assert [message["role"] for message in chat.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert chat.answers == (2, 4)
    assert read({"conversations": [USER, ANSWER]}).answers == (1,)


def test_prompts_and_completions() -> None:
    assert read({"prompt": "a", "completion": "b"}) == PromptCompletion("a", "b")
    chat = read({"prompt": [USER, ANSWER, USER], "completion": [ANSWER]})
    assert chat.answers == (3,)


def test_instructions() -> None:
    row = {
        "instruction": "add",
        "input": "1 2",
        "output": "3",
        "system": "s",
        "history": [["q", "a"]],
    }
    chat = read(row)
    contents = [message["content"] for message in chat.messages]
    assert contents == ["s", "q", "a", "add\n\n1 2", "3"]
    assert chat.answers == (2, 4)
    assert read({"instruction": "add", "input": None, "output": "3"}).messages[0] == {
        "role": "user",
        "content": "add",
    }


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": []}, "messages is empty"),
        ({"messages": "hi"}, "messages is a text"),
        ({"messages": ["hi"]}, r"messages\[0\] is a text"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "role is 'wizard'"),
        ({"messages": [{"role": None, "content": "x"}]}, "role is None"),
        ({"messages": [{"role": "user", "content": None}]}, "user says nothing"),
        ({"messages": [{"role": "user", "content": 3}]}, "content is a number"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "a part is 'image"),
        ({"messages": [{**USER, "tool_calls": [CALL]}]}, "user has tool_calls"),
        ({"messages": [{**ANSWER, "tool_calls": [{}]}]}, "names no function"),
        ({"messages": [{**ANSWER, "tool_calls": ["f"]}]}, "is a text"),
        ({"messages": [{**ANSWER, "function_call": {"name": "f"}}]}, "has a function_call"),
        ({"messages": [{**ANSWER, "weight": 0.5}]}, "weight is 0.5"),
        ({"messages": [USER], "images": ["x.png"]}, "it has images"),
        ({"messages": [USER], "functions": [{}]}, "it has functions"),
        ({"messages": [USER], "tools": "{"}, "tools is no JSON"),
        ({"conversations": [{"from": "cat", "value": "x"}]}, "from is 'cat'"),
        ({"prompt": "a", "completion": [ANSWER]}, "not alike"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference pairs"),
        ({"prompt": "a", "completion": "b", "label": True}, "preferences without pairs"),
        ({"prompt": "a", "completions": ["b"], "labels": [True]}, "labelled steps"),
        ({"prompt": "a"}, "prompts without completions"),
        ({"instruction": "a", "output": 3}, "output is no text"),
        ({"instruction": "a", "output": "b", "history": ["c"]}, "history holds"),
        ({"text": 3}, "text is no text"),
        ({"id": 3, "body": "x"}, "its fields: id, body"),
        ([1], "a row is an object"),
    ],
)
def test_what_is_refused_says_why(row: Any, said: str) -> None:
    with pytest.raises(RowError, match=said):
        read(row)


def test_a_row_of_another_form_is_refused() -> None:
    with pytest.raises(RowError, match=r"no messages, unlike the rows before \(chats\)"):
        document_of({"text": "a"}, form_of({"messages": [USER]}))


names = st.sampled_from(sorted({name for form in FORMS for name in form.fields} | {"role", "from"}))
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), names)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(names | st.sampled_from(["content", "value", "tool_calls"]), inner),
    ),
    max_leaves=12,
)


@given(values | st.dictionaries(names, values))
def test_any_json_is_a_document_or_a_refusal(row: Any) -> None:
    try:
        found = read(row)
    except RowError:
        return
    assert isinstance(found, Text | PromptCompletion | Chat)
