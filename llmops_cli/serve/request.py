"""What the gateway reads of a body. Which fields matter depends on the endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

CHARS_PER_TOKEN = 4
HEAD_CHARS = 2048
"""Of a prompt, for prefix affinity: two or three pages of a system prompt tell uses apart."""
OWN_ROLES = ("system", "developer", "assistant")
"""Messages that nobody outside has written."""
Json = dict[str, Any]  # Any: OpenAI's content parts, tools and schemas

Text = tuple[str, str]
"""(role, text)."""


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class RequestBody(msgspec.Struct, frozen=True):
    """The part of a body that the gateway reads. Other fields pass through unread."""

    model: str = ""
    messages: list[Json] | msgspec.UnsetType = msgspec.UNSET
    prompt: str | list[Any] | msgspec.UnsetType = msgspec.UNSET
    input: str | list[Any] | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None
    tools: list[Any] | None = None
    response_format: Json | None = None
    user: str | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked that a stream tells its tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def needs(self) -> set[str]:
        """What an upstream must be able to do, in the words of `can:`."""
        found = set()
        if self.tools:
            found.add("tools")
        if self.response_format:
            found.add("json")
        if isinstance(self.messages, list) and any(map(_has_image, self.messages)):
            found.add("vision")
        return found


def _has_image(message: Json) -> bool:
    content = message.get("content")
    if not isinstance(content, list):
        return False
    return any("image" in str(part.get("type")) for part in content if isinstance(part, dict))


def texts_in(value: object) -> Iterator[Text]:
    """What somebody outside may have written, in a string, strings, messages or text parts."""
    if isinstance(value, str):
        yield "user", value
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, str):
                yield "user", item
            elif isinstance(item, dict):
                yield from _texts_of(item)


def _texts_of(message: Json) -> Iterator[Text]:
    role = str(message.get("role") or "user")
    if message.get("type") == "function_call_output":
        role = "tool"
    if role in OWN_ROLES:
        return
    content = message.get("content") or message.get("output") or message.get("text")
    if isinstance(content, str):
        yield role, content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield role, part["text"]


def head_of(value: object) -> str:
    """Where a prompt begins: what an engine's prefix cache would find again."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return str(value)[:HEAD_CHARS]
    found: list[str] = []
    size = 0
    for message in value:
        content = message.get("content")
        text = content if isinstance(content, str) else str(content)
        found.append(text[: HEAD_CHARS - size])
        size += len(found[-1])
        if size >= HEAD_CHARS:
            break
    return "\n".join(found)
