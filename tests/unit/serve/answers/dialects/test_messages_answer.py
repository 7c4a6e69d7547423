"""A whole chat completion as Anthropic's message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.serve.answers.dialects.messages_answer import Shown, error_body, message_of

SHOWN = Shown(message_id="msg_1", model="m", stop_sequences=("END",))


def translated(answer: object, *, status: int = 200) -> dict[str, Any]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    _, shown = message_of(body, status=status, shown=SHOWN)
    found: dict[str, Any] = json.loads(shown)
    return found


@pytest.mark.parametrize("answer", [{"choices": []}, {}, [], b"<html>"])
def test_what_is_no_completion_is_a_bad_gateway(answer: object) -> None:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    status, shown = message_of(body, status=200, shown=SHOWN)
    assert status == 502
    assert json.loads(shown)["type"] == "error"


def test_a_completion_is_a_message() -> None:
    call = {"id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}
    message = {
        "reasoning": "hm",
        "content": "so",
        "tool_calls": [call],
    }
    answer = {
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    }
    assert translated(answer) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {
                "type": "thinking",
                "thinking": "hm",
                "signature": "llmops:reasoning",
            },
            {"type": "text", "text": "so"},
            {
                "type": "tool_use",
                "id": "c1",
                "name": "f",
                "input": {"a": 1},
            },
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "output_tokens": 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        (None, "end_turn"),
    ],
)
def test_reasons_to_stop(reason: str | None, stop: str) -> None:
    answer = {"choices": [{"message": {"content": "x"}, "finish_reason": reason}]}
    assert translated(answer)["stop_reason"] == stop


def test_an_upstreams_error_is_told_in_their_form() -> None:
    told = translated({"error": {"message": "too long"}}, status=400)
    assert told == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "too long"},
    }
    assert translated({}, status=503)["error"]["message"] == "the upstream answered 503"


@given(raw=st.binary(max_size=100))
def test_garbage_is_an_error_of_the_upstream(raw: bytes) -> None:
    assert translated(raw)["error"]["type"] == "api_error"


@pytest.mark.parametrize("answer", [[], {}, {"choices": []}, {"choices": [{}]}, {"choices": 3}])
def test_another_form_is_an_error_of_the_upstream(answer: object) -> None:
    assert translated(answer)["error"]["message"] == "the upstream's answer is no chat completion"


def test_an_error_names_its_request() -> None:
    told = json.loads(error_body(429, "later", request_id="r1"))
    assert told["request_id"] == "r1"
    assert told["error"]["type"] == "rate_limit_error"


def answer(message: dict[str, Any], *, usage: object = None, **choice: object) -> dict[str, Any]:
    return {"choices": [{"message": message, **choice}], "usage": usage}


def test_what_a_cache_held_is_counted_apart() -> None:
    counts = {
        "prompt_tokens": 100,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert translated(answer({"content": "x"}, usage=counts))["usage"] == {
        "input_tokens": 16,
        "output_tokens": 9,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 64,
        "output_tokens_details": {"thinking_tokens": 5},
    }


@pytest.mark.parametrize("field", ["stop_reason", "matched_stop"])
def test_the_stop_sequence_that_matched_is_told(field: str) -> None:
    message = {"content": "x"}
    told = translated(answer(message, finish_reason="stop", **{field: "END"}))
    assert (told["stop_reason"], told["stop_sequence"]) == ("stop_sequence", "END")
    for other in (None, 128009, "another"):
        told = translated(answer(message, finish_reason="stop", **{field: other}))
        assert (told["stop_reason"], told["stop_sequence"]) == ("end_turn", None)


@pytest.mark.parametrize(
    "arguments", ["[1]", "3", '"x"', "{", '{"a": tru', "no", '{"a":"\\ud800"}']
)
def test_an_input_that_is_no_object_is_told_as_one(arguments: str) -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": arguments}}
    (block,) = translated(answer({"tool_calls": [call]}))["content"]
    assert block["input"] == {"INVALID_JSON": arguments}


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    ],
)
def test_an_input_keeps_its_values(arguments: object, given: object) -> None:
    call = {"id": 7, "function": {"name": "f", "arguments": arguments}}
    (block,) = translated(answer({"tool_calls": [call]}))["content"]
    assert (block["input"], block["id"]) == (given, "7")


def test_a_refusal_is_a_reason_to_stop() -> None:
    told = translated(answer({"content": None, "refusal": "I won't"}, finish_reason="stop"))
    assert told["content"] == [{"type": "text", "text": "I won't"}]
    assert told["stop_reason"] == "refusal"


def test_parts_and_images_of_an_answer_are_told() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    told = translated(answer({"content": [{"type": "text", "text": "see"}], "images": [image]}))
    assert [block["text"] for block in told["content"]] == [
        "see",
        "![image](data:image/png;base64,AA)",
    ]


def test_reasoning_among_the_parts_is_thinking() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "so"},
    ]
    thought, text = translated(answer({"content": parts}))["content"]
    assert (thought["thinking"], text["text"]) == ("hm", "so")


def test_an_answer_may_say_nothing() -> None:
    told = translated(answer({"content": None}, finish_reason="stop"))
    assert (told["content"], told["stop_reason"]) == ([], "end_turn")


@pytest.mark.parametrize("status", [201, 204, 302])
def test_a_status_that_is_no_answer_is_a_bad_gateway(status: int) -> None:
    seen, shown = message_of(b"{}", status=status, shown=SHOWN)
    assert (seen, json.loads(shown)["type"]) == (502, "error")


@pytest.mark.parametrize(
    "message",
    [
        3,
        {"content": 3},
        {"content": [3]},
        {"content": [{"type": "image_url", "image_url": {}}]},
        {"tool_calls": 3},
        {"tool_calls": [{}]},
        {"tool_calls": [{"function": {"arguments": "{}"}}]},
        {"tool_calls": [{"function": {"name": "f", "arguments": 3}}]},
    ],
)
def test_odd_messages_are_a_bad_gateway(message: object) -> None:
    body = json.dumps({"choices": [{"message": message}]}).encode()
    assert message_of(body, status=200, shown=SHOWN)[0] == 502


def test_an_answer_that_nests_too_deep_is_a_bad_gateway() -> None:
    assert message_of(b"[" * 100_000, status=200, shown=SHOWN)[0] == 502


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
FIELDS = ("content", "refusal", "reasoning", "tool_calls", "function_call", "images")
calls = st.fixed_dictionaries(
    {"function": st.fixed_dictionaries({"name": st.just("f")}, optional={"arguments": json_values})}
)
messages = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(FIELDS, json_values), "tool_calls": st.lists(calls | json_values)}
)


@given(message=messages | json_values, usage=json_values, reason=json_values)
def test_whatever_is_answered_is_a_message_or_an_error(
    message: object, usage: object, reason: object
) -> None:
    """As Anthropic's own types read it."""
    choice = {"message": message, "finish_reason": reason, "stop_reason": reason}
    body = json.dumps({"choices": [choice], "usage": usage}).encode()
    status, shown = message_of(body, status=200, shown=SHOWN)
    assert status in (200, 502)
    if status == 200:
        Message.model_validate_json(shown, strict=True)
    else:
        assert json.loads(shown)["error"]["type"] == "api_error"
