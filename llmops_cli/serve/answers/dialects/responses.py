"""Answers of OpenAI's Responses, as far as the gateway reads them."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.serve.answers.dialects.choices import Place
from llmops_cli.serve.answers.dialects.sse import data_lines, named_event

Json = dict[str, Any]  # Any: OpenAI's fields


def places_of_response(answer: Json) -> list[Place]:
    """Every text of a whole response."""
    parts = [part for item in answer["output"] for part in item.get("content") or ()]
    return [
        Place(part, "content", part, "text") for part in parts if isinstance(part.get("text"), str)
    ]


def texts_of_stream(events: bytes) -> list[str] | None:
    """What a stream said in all, as its last event has it; None if there is no such event."""
    for data in data_lines(events):
        if b'"response.completed"' in data:
            return _texts(data)
    return None


def _texts(data: bytes) -> list[str]:
    try:
        response = msgspec.json.decode(data)["response"]
        return [str(place.text) for place in places_of_response(response)]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return []


def withheld(message: str) -> bytes:
    """A stream that is nothing but an error."""
    failure = {
        "type": "error",
        "code": "content_filter",
        "message": message,
    }
    return named_event("error", failure)
