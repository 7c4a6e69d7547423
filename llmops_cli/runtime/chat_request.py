"""One request for a chat's answer, before a dialect spells it, and how large it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from llmops_cli.runtime.chat_endpoint import Message

CHARS_PER_TOKEN = 4
"""Where a server does not count, and for forecasts."""
FRAME_TOKENS = 16
"""More than a chat template puts around a message."""
LINKED_TOKENS = 4096
"""More than a picture that is named by its address takes."""
REPEAT_STEP = 1_000_003
"""Between the seeds of two samples of a question; a prime, so that no two small seeds meet."""
SEEDS = 1 << 31

Fields = Mapping[str, Any]  # Any: JSON


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. None leaves a field out, so that the server's own default holds."""

    messages: list[Message]
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    response_format: Fields | None = None
    tools: tuple[Fields, ...] = ()


class TokenBound(msgspec.Struct, frozen=True):
    """Tokens that a request takes at most, for budgets that must hold."""

    input: int
    output: int


def seed_of(seed: int, repeat: int, messages: Sequence[Message]) -> int:
    """The seed that the sample with this number of this question is asked with.

    Questions with one seed would share their luck: a server draws the same numbers for each of
    them, so they come out right or wrong together, and no interval over them holds.
    """
    asked = hashlib.blake2b(msgspec.json.encode(messages), digest_size=4).digest()
    return (int.from_bytes(asked) + seed + repeat * REPEAT_STEP) % SEEDS


def bound_of(request: ChatRequest) -> TokenBound:
    """No token is shorter than a byte. An answer without a limit is not bound: 0."""
    size_bytes = len(msgspec.json.encode(request.tools)) if request.tools else 0
    if request.response_format:
        size_bytes += len(msgspec.json.encode(request.response_format))
    input_tokens = size_bytes + input_bound(request.messages)
    return TokenBound(input_tokens, request.max_tokens or 0)


def input_bound(messages: Iterable[Message]) -> int:
    """Tokens of a prompt at most."""
    tokens = FRAME_TOKENS
    for each in messages:
        tokens += FRAME_TOKENS
        for name, value in each.items():
            if name == "role":
                continue
            tokens += sum(map(_part_bound, _parts(value)))
    return tokens


def _part_bound(part: Any) -> int:  # Any: a text or one part of a message
    if isinstance(part, str):
        return len(part.encode(errors="replace"))
    linked = LINKED_TOKENS if isinstance(part, dict) and "image_url" in part else 0
    return linked + len(msgspec.json.encode(part))


def _parts(content: Any) -> list[Any]:  # Any: a text, or a list of parts
    return content if isinstance(content, list) else [content]


def chars_of(messages: Iterable[Message]) -> int:
    """Of all that is said in them."""
    return sum(len(text) for each in messages for text in _texts(each.get("content")))


def _texts(content: Any) -> Iterator[str]:  # Any: a text, parts, or nothing
    for part in _parts(content):
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
