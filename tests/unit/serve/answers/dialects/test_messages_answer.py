"""A whole chat completion as Anthropic's message."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.serve.answers.dialects.messages_answer import error_body, message_of


def translated(answer: object, *, status: int = 200) -> dict[str, Any]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    _, shown = message_of(body, status=status, message_id="msg_1", model="m")
    found: dict[str, Any] = json.loads(shown)
    return found


@pytest.mark.parametrize("answer", [{"choices": []}, {}, [], b"<html>"])
def test_what_is_no_completion_is_a_bad_gateway(answer: object) -> None:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    status, shown = message_of(body, status=200, message_id="msg_1", model="m")
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
                "signature": "",
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
        "usage": {"input_tokens": 3, "output_tokens": 4},
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
