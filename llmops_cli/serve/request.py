"""What the gateway reads of a body. Which fields matter depends on the endpoint."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import msgspec

HEAD_CHARS = 2048
"""Of a prompt, for prefix affinity: two or three pages of a system prompt tell uses apart."""
HEAD_DEPTH = 8
"""Of lists and objects in each other."""
Json = dict[str, Any]  # Any: OpenAI's content parts, tools and schemas


NAME_MOST = 256
ModelName = Annotated[str, msgspec.Meta(max_length=NAME_MOST)]
"""No model of anybody has a longer one, and it stands in logs, traces and messages."""


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class RequestBody(msgspec.Struct, frozen=True):
    """The part of a body that the gateway reads. Other fields pass through unread."""

    model: ModelName = ""
    messages: list[Json] | msgspec.UnsetType = msgspec.UNSET
    prompt: Any = None  # Any: as input, and Responses have an object there
    input: Any = None  # Any: texts, tokens or items; what is long is not copied
    query: Any = None  # Any: as input
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n_predict: int | None = None
    n: int | None = None
    best_of: int | None = None
    use_beam_search: bool | None = None
    echo: bool | None = None
    min_tokens: int | None = None
    tools: list[Any] | None = None
    response_format: Json | str | None = None
    user: str | None = None

    @property
    def may_name_prompt(self) -> bool:
        """Whether what it lacks may be in a prompt of the gateway's."""
        return self.prompt is not None or "@" in self.model

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked that a stream tells its tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)


def head_of(value: object) -> str:
    """Where a prompt begins: what an engine's prefix cache would find again.

    No more of it is looked at than that.
    """
    if not isinstance(value, list):
        return _beginning(value, HEAD_CHARS)
    found: list[str] = []
    size = 0
    for item in value:
        said = item.get("content") if isinstance(item, dict) else item
        found.append(_beginning(said, HEAD_CHARS - size))
        size += len(found[-1]) + 1
        if size >= HEAD_CHARS:
            break
    return "\n".join(found)


def _beginning(
    value: object,
    most: int,
    depth: int = 0,
) -> str:
    if isinstance(value, str):
        return value[:most]
    if isinstance(value, dict):
        value = list(islice(value.values(), most))
    if not isinstance(value, list):
        return str(value)[:most]
    found: list[str] = []
    left = most
    for item in value:
        if left <= 0 or depth > HEAD_DEPTH:
            break
        found.append(_beginning(item, left, depth + 1))
        left -= len(found[-1]) + 1
    return " ".join(found)
