"""Texts of answers whose form is open: every string, but for names, kinds and media."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

Json = dict[str, Any]  # Any: OpenAI's fields
ECHOED = frozenset(
    (
        "background",
        "completed_at",
        "conversation",
        "created_at",
        "id",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "object",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "status",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "usage",
        "user",
    )
)
"""Of a response, what its request said, or what is no text. All else may be a model's words."""
WORDLESS = frozenset(
    (
        "audio",
        "b64_json",
        "call_id",
        "encrypted_content",
        "id",
        "item_id",
        "object",
        "partial_image_b64",
        "role",
        "signature",
        "status",
        "thought_signature",
        "type",
    )
)
"""Fields that no model writes as text, wherever they stand: names, kinds, media, ciphers."""
SPELT_OUT = ("logprobs", "obfuscation")
"""Fields that hold the words once more, token by token, or as many letters as there are."""


class AnswerSlot(NamedTuple):
    """Where a text stands, in an object or a list."""

    holder: Any  # Any: either of them
    field: str | int

    @property
    def text(self) -> str:
        return str(self.holder[self.field])


def slots_in(value: object) -> Iterator[AnswerSlot]:
    """Every text of an item, a part or an event of a stream, at any depth."""
    if isinstance(value, dict):
        is_image = value.get("type") == "image_generation_call"
        for name, inner in value.items():
            if name == "response" and isinstance(inner, dict):
                yield from slots_in_response(inner)
            elif name not in WORDLESS and not (is_image and name == "result"):
                yield from _slots_at(value, name, inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _slots_at(value, number, inner)


def slots_in_response(response: Json) -> Iterator[AnswerSlot]:
    """Every text of a whole response that its request did not say."""
    for name, inner in response.items():
        if name not in ECHOED:
            yield from _slots_at(response, name, inner)


def _slots_at(holder: object, field: str | int, inner: object) -> Iterator[AnswerSlot]:
    if isinstance(inner, str):
        yield AnswerSlot(holder, field)
    else:
        yield from slots_in(inner)


def without_spelling(value: object, names: Collection[str] = SPELT_OUT) -> None:
    """Takes out, in place, what would tell words that are redacted beside it."""
    if isinstance(value, dict):
        for name in names:
            if value.get(name):
                value[name] = _nothing(value[name])
        for inner in value.values():
            without_spelling(inner, names)
    elif isinstance(value, list):
        for inner in value:
            without_spelling(inner, names)


def _nothing(value: object) -> object:
    """Of the same kind, as far as clients would notice."""
    if isinstance(value, list):
        return []
    return "" if isinstance(value, str) else None
