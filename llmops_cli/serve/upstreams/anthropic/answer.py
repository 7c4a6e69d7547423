"""A whole message of Anthropic's, or an error, as a chat's upstream would have told it."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.runtime.messages_words import BETWEEN, INPUT_COUNTS, STOP_REASONS, Json, call_of
from llmops_cli.serve.answers.dialects.messages_answer import ERRORS
from llmops_cli.serve.upstreams.errors import ErrorInStream

STATUSES = {kind: status for status, kind in ERRORS.items()}
"""Of two with one type the later is meant: a server that is overloaded says 529."""
FAILED = 500
COUNT_MOST = 2**53


def completion_of(message: Json, *, created: int) -> Json:
    """Raises: KeyError and the like for another form."""
    paragraphs = Paragraphs()
    texts = []
    thoughts = []
    calls = []
    for block in message["content"]:
        kind = block["type"]
        if kind == "text":
            texts.append(paragraphs.add(text_in(block["text"])))
        elif kind == "tool_use":
            text_in(block["name"])
            text_in(block["id"])
            calls.append(call_of(block))
        elif kind == "thinking":
            thoughts.append(text_in(block["thinking"]))
        if kind != "text":
            paragraphs.interrupt()
    text = "".join(texts)
    told: Json = {"role": "assistant", "content": text}
    if calls:
        told["content"] = text or None
        told["tool_calls"] = calls
    if any(thoughts):
        told["reasoning_content"] = BETWEEN.join(filter(None, thoughts))
    choice = {"index": 0, "message": told, **ending_of(message)}
    return {
        "id": message.get("id"),
        "object": "chat.completion",
        "created": created,
        "model": message.get("model"),
        "choices": [choice],
        "usage": usage_of(message.get("usage")),
    }


class Paragraphs:
    """Texts of an answer's blocks: a chat has one, and what stood apart is a paragraph there."""

    def __init__(self) -> None:
        self._has_begun = False
        self._is_apart = False

    def add(self, text: str) -> str:
        """As it follows what was said before."""
        if not text:
            return ""
        is_apart = self._is_apart
        self._has_begun = True
        self._is_apart = False
        return BETWEEN + text if is_apart else text

    def interrupt(self) -> None:
        """Something else stands there."""
        self._is_apart = self._has_begun


def ending_of(message: Json) -> Json:
    """Why it ended; a stop sequence is told as vLLM tells it."""
    reason = message.get("stop_reason")
    found: Json = {"finish_reason": STOP_REASONS.get(str(reason), "stop")}
    if reason == "stop_sequence" and isinstance(message.get("stop_sequence"), str):
        found["stop_reason"] = message["stop_sequence"]
    return found


def usage_of(usage: Any) -> Json | None:  # Any: the server's own field
    """A prompt's tokens are all of them, those of a cache too."""
    if not isinstance(usage, dict):
        return None
    prompt = sum(_count(usage.get(name)) for name in INPUT_COUNTS)
    answer = _count(usage.get("output_tokens"))
    found: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {
            "cached_tokens": _count(usage.get("cache_read_input_tokens")),
            "cache_write_tokens": _count(usage.get("cache_creation_input_tokens")),
        },
    }
    details = usage.get("output_tokens_details")
    if isinstance(details, dict) and _count(details.get("thinking_tokens")):
        thought = _count(details["thinking_tokens"])
        found["completion_tokens_details"] = {"reasoning_tokens": thought}
    return found


def text_in(value: object) -> str:
    """Raises: TypeError for what is none."""
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(0, int(min(value, COUNT_MOST)))


def error_of(told: Json, *, has_status: bool) -> Json | None:
    """An error in OpenAI's form; None if it is none. `has_status`: the answer's own tells it."""
    error = told.get("error")
    if told.get("type") != "error" or not isinstance(error, dict):
        return None
    kind = error.get("type")
    code = None if has_status else status_of(kind)
    return {"message": str(error.get("message") or kind), "type": kind, "param": None, "code": code}


def status_of(kind: object) -> int:
    """Of an error that has no status of its own."""
    return STATUSES.get(str(kind), FAILED)


def error_in_stream(told: Json) -> ErrorInStream:
    error = error_of(told, has_status=False)
    body = msgspec.json.encode({"error": error or {"message": "an error of no form"}})
    status = FAILED if error is None else int(error["code"])
    return ErrorInStream(status, body)
