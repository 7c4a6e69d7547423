"""Whether an answer is worth giving again: whole, and says something."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.endpoints import EMBEDDINGS, Endpoint

Json = dict[str, Any]  # Any: OpenAI's fields
FINISHED = frozenset(("stop", "tool_calls", "function_call", "eos", "eos_token", "stop_sequence"))
"""Reasons with which an answer is over. Any other (length, content_filter) has cut it off."""
SAID = ("content", "text", "refusal", "reasoning_content", "reasoning")
CALLED = ("tool_calls", "function_call", "audio")


def is_worth_keeping(
    body: bytes,
    endpoint: Endpoint,
    *,
    copies: int = 1,
) -> bool:
    """`copies`: how many answers were asked for."""
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE:
        return False
    if not isinstance(answer, dict) or not answer or answer.get("error"):
        return False
    if endpoint.choices is not None:
        choices = answer.get("choices")
        if not isinstance(choices, list) or len(choices) < copies:
            return False
        return all(map(_is_whole, choices))
    if endpoint.target is EMBEDDINGS:
        return _has_vectors(answer.get("data"))
    return True


def _is_whole(choice: object) -> bool:
    if not isinstance(choice, dict) or choice.get("finish_reason") not in FINISHED:
        return False
    message = choice.get("message", choice)
    return isinstance(message, dict) and _says_something(message)


def _says_something(message: Json) -> bool:
    if any(message.get(name) for name in CALLED):
        return True
    for name in SAID:
        said = message.get(name)
        if said and not (isinstance(said, str) and said.isspace()):
            return True
    return False


def _has_vectors(data: object) -> bool:
    if not isinstance(data, list) or not data:
        return False
    return all(isinstance(entry, dict) and entry.get("embedding") for entry in data)
