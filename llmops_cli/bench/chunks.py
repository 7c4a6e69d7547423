"""The forms that servers have for a piece of an answer and for an error, as texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE

MOST_ERROR = 300
"""Characters of an error that are kept."""
PART_KEYS = ("text", "content", "refusal")
THOUGHT_KEYS = ("thinking", "reasoning")


class Delta(msgspec.Struct, gc=False):
    """A piece of a message, or all of it. Any: texts, or lists of parts, as the server likes."""

    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    thinking: Any = None
    tool_calls: list[Any] | None = None


class ChunkChoice(msgspec.Struct, gc=False):
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None
    error: Any = None  # Any: as in Chunk


class Chunk(msgspec.Struct, gc=False):
    """What we read of a chat or completion chunk; everything else is skipped unparsed."""

    choices: list[ChunkChoice] | None = None
    usage: dict[str, Any] | None = None  # Any: servers add fields of their own
    error: Any = None  # Any: text, or an object of the server's own
    object: Any = None  # Any, three times: only an error's are read
    message: Any = None
    detail: Any = None


class Piece(NamedTuple):
    """The texts of one delta."""

    said: str
    thought: str
    calls: str = ""


def piece_of(choice: ChunkChoice) -> Piece:
    delta = choice.delta or choice.message
    if delta is None:
        return Piece(choice.text or "", "")
    said = delta.content
    thought = delta.reasoning_content or delta.reasoning or delta.thinking
    if isinstance(said, str) and not thought and not delta.tool_calls:
        return Piece(said or words_of(delta.refusal), "")
    calls = ""
    if delta.tool_calls:
        encoded = msgspec.json.encode(delta.tool_calls)
        calls = encoded.decode()
    spoken = "".join(_spoken(said)) or words_of(delta.refusal)
    inner = words_of(thought) or "".join(_thoughts_in(said))
    return Piece(spoken, inner, calls)


def _spoken(content: object) -> Iterator[str]:
    """The texts of a message's content, which may be a list of parts."""
    parts = content if isinstance(content, list) else [content]
    for part in parts:
        if not _is_thought(part):
            yield words_of(part)


def _thoughts_in(content: object) -> Iterator[str]:
    parts = content if isinstance(content, list) else [content]
    for part in parts:
        if _is_thought(part):
            yield words_of(part)


def _is_thought(part: object) -> bool:
    return isinstance(part, dict) and any(key in part for key in THOUGHT_KEYS)


def words_of(value: object) -> str:
    """The text of a text, of a part, or of a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(words_of, value))
    if isinstance(value, dict):
        for key in (*PART_KEYS, *THOUGHT_KEYS):
            if value.get(key):
                return words_of(value[key])
    return ""


def error_of(event: Chunk) -> object | None:
    """The error that an event is, in one of the forms of the field."""
    said: object | None = event.error or None
    if said is None and not event.choices:
        said = event.detail or None
        if event.object == "error":
            said = event.message or event.object
    return said


def error_text(raw: bytes) -> str:
    """The message inside an error body, or its beginning."""
    try:
        words = _error_words(raw)
    except UNREADABLE:
        words = None
    return (raw[:MOST_ERROR].decode(errors="replace") if words is None else words)[:MOST_ERROR]


def _error_words(raw: bytes) -> str | None:
    """None where it is no object. Raises: one of UNREADABLE."""
    loaded = msgspec.json.decode(raw)
    if isinstance(loaded, list) and loaded:  # as Gemini wraps them
        loaded = loaded[0]
    if not isinstance(loaded, dict):
        return None
    error: object = loaded
    for name in ("error", "detail", "message"):
        if loaded.get(name):
            error = loaded[name]
            break
    if isinstance(error, dict) and error.get("message"):
        error = error["message"]
    if not isinstance(error, str):
        error = msgspec.json.encode(error).decode()
    return error
