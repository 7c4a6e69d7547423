"""A whole message of Anthropic's, or an error, as a chat's upstream would have told it."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.runtime.messages_words import (
    BETWEEN,
    INPUT_COUNTS,
    SIGNED_THOUGHTS,
    STOP_REASONS,
    Json,
    call_of,
    signed_thought,
)
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
    signed = list(filter(None, map(signed_thought, message["content"])))
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
        if signed:
            told[SIGNED_THOUGHTS] = signed
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
    """A prompt's tokens are all of them, those of a cache too.

    What is not told is left out, so that it is estimated: a 0 would be free. None: nothing is told.
    """
    if not isinstance(usage, dict):
        return None
    found = _prompt_of(usage)
    answer = count_in(usage, "output_tokens")
    if answer is not None:
        if "prompt_tokens" in found:
            found["total_tokens"] = found["prompt_tokens"] + answer
        found["completion_tokens"] = answer
    details = usage.get("output_tokens_details")
    if isinstance(details, dict):
        thought = count_in(details, "thinking_tokens")
        if thought:
            found["completion_tokens_details"] = {"reasoning_tokens": thought}
    return found or None


def _prompt_of(usage: Json) -> Json:
    """Empty where nobody counted the prompt."""
    counts = [count_in(usage, name) for name in INPUT_COUNTS]
    fresh, written, cached = counts
    prompt = sum(each or 0 for each in counts)
    if fresh is None and not prompt:
        return {}
    details = {"cached_tokens": cached or 0, "cache_write_tokens": written or 0}
    return {"prompt_tokens": prompt, "prompt_tokens_details": details}


def text_in(value: object) -> str:
    """Raises: TypeError for what is none."""
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def count_in(usage: Json, name: str) -> int | None:
    """None for what is no number of tokens."""
    value = usage.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return int(min(value, COUNT_MOST))


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
