"""A request in Anthropic's form: what it means in ours, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmops_cli.serve.answers.dialects.messages_request import chat_of
from llmops_cli.serve.refusal import Refusal


def request(content: object, **more: object) -> bytes:
    message = {"role": "user", "content": content}
    body = {
        "model": "m",
        "max_tokens": 3,
        "messages": [message],
        **more,
    }
    return json.dumps(body).encode()


def translated(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(chat_of(raw))
    return found


def test_a_conversation() -> None:
    chat = translated(
        request(
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            system="be kind",
            stop_sequences=["x"],
            tool_choice={"type": "any"},
            metadata={"user_id": "u"},
        )
    )
    assert chat == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "ab"},
        ],
        "max_tokens": 3,
        "stop": ["x"],
        "user": "u",
        "tool_choice": "required",
    }


def test_results_of_tools_stand_by_themselves() -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": "c1",
        "content": [{"text": "4"}],
    }
    chat = translated(request([result, {"type": "text", "text": "so?"}]))
    assert chat["messages"] == [
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": "4",
        },
        {"role": "user", "content": "so?"},
    ]


def test_an_image_is_an_address() -> None:
    source = {
        "type": "base64",
        "media_type": "image/png",
        "data": "AAAA",
    }
    chat = translated(request([{"type": "image", "source": source}]))
    (part,) = chat["messages"][0]["content"]
    assert part["image_url"]["url"] == "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    "content",
    [
        None,
        3,
        [3],
        [{"type": "document"}],
        [{"type": "image"}],
        [{"type": "image", "source": 3}],
        [{"type": "image", "source": {"type": "base64"}}],
        [{"type": "tool_result", "content": 3}],
    ],
)
def test_what_has_no_counterpart_is_refused(content: object) -> None:
    with pytest.raises(Refusal) as refused:
        chat_of(request(content))
    assert refused.value.status == 400


@pytest.mark.parametrize("role", ["root", "", None])
def test_roles_that_there_are_not_are_refused(role: object) -> None:
    body = {
        "model": "m",
        "max_tokens": 3,
        "messages": [{"role": role, "content": "x"}],
    }
    with pytest.raises(Refusal):
        chat_of(json.dumps(body).encode())


@settings(max_examples=200)
@given(raw=st.binary(max_size=300))
@example(raw=b"[]")
@example(raw=b'{"model": "m", "max_tokens": 3}')
@example(raw=b'{"model": "m", "max_tokens": "3", "messages": []}')
@example(raw=b'{"model": "m", "max_tokens": 3, "messages": [{"role": "user"}]}')
def test_garbage_is_refused_and_never_translated(raw: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, Refusal)):
        chat_of(raw)


FIELDS = ("text", "source", "id", "name", "input", "tool_use_id", "content")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "tool_use", "tool_result", "thinking"])},
    optional=dict.fromkeys(FIELDS, json_values),
)


@settings(max_examples=200)
@given(content=st.lists(blocks | json_values, max_size=3), system=json_values)
def test_odd_blocks_are_refused_or_make_messages_that_servers_take(
    content: list[Any], system: Any
) -> None:
    try:
        chat = translated(request(content, system=system))
    except (msgspec.DecodeError, Refusal):
        return
    for message in chat["messages"]:
        assert message["role"] in ("system", "user", "tool")
        assert message["content"] is None or isinstance(message["content"], str | list)
