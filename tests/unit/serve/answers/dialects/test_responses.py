"""Answers of OpenAI's Responses."""

from __future__ import annotations

import json

from llmops_cli.serve.answers.dialects.responses import (
    places_of_response,
    texts_of_stream,
    withheld,
)

RESPONSE = {
    "output": [
        {"type": "reasoning"},
        {"type": "message", "content": [{"type": "output_text", "text": "a"}, {"text": "b"}]},
    ]
}


def test_each_text_is_found() -> None:
    assert [place.text for place in places_of_response(RESPONSE)] == ["a", "b"]


def test_a_streams_last_event_has_all_of_it() -> None:
    last = {"type": "response.completed", "response": RESPONSE}
    events = b'event: x\ndata: {"type":"response.output_text.delta","delta":"a"}\n\n'
    assert texts_of_stream(events) is None
    whole = events + b"data: " + json.dumps(last).encode() + b"\n\n"
    assert texts_of_stream(whole) == ["a", "b"]


def test_what_is_withheld_is_an_event_that_says_so() -> None:
    name, data = withheld("no").splitlines()[:2]
    assert name == b"event: error"
    said = json.loads(data.removeprefix(b"data: "))
    assert said == {
        "type": "error",
        "code": "content_filter",
        "message": "no",
    }
