"""Where texts stand in a choice, whole or in pieces.

Texts that come in pieces have a name that is the same in each piece; what stands whole wherever it
stands is judged as it is; in a stream anything else with words in it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from llmops_cli.serve.answers.dialects.slots import SPELT_OUT, slots_in

Json = dict[str, Any]  # Any: OpenAI's fields
TEXT_FIELDS = ("content", "text", "reasoning_content", "reasoning", "refusal")
"""Fields of a choice, or of its message, that hold what a model says."""
DETAIL_FIELDS = ("text", "summary")
"""Of an entry of OpenRouter's `reasoning_details`."""
WHOLE_FIELDS = ("annotations", "citations", "search_results")
"""Fields that are told once and all of it."""
READ_FIELDS = frozenset(
    (
        *TEXT_FIELDS,
        *WHOLE_FIELDS,
        "audio",
        "delta",
        "finish_reason",
        "function_call",
        "index",
        "matched_stop",
        "message",
        "native_finish_reason",
        "prompt_logprobs",
        "reasoning_details",
        "role",
        "stop_reason",
        "tool_calls",
    )
)
"""Fields of a choice, or of its message, that are read here, or that no model writes."""
CHUNK_FIELDS = frozenset(
    (
        "choices",
        "created",
        "id",
        "model",
        "object",
        "prompt_logprobs",
        "provider",
        "service_tier",
        "system_fingerprint",
        "timings",
        "usage",
    )
)
"""Fields of an event, or of a whole answer, that no model writes."""


class Place(NamedTuple):
    """Where a text stands. `name` is the same in each piece of a stream."""

    choice: Json
    name: str
    holder: Any  # Any: an object, or a list
    field: str | int

    @property
    def text(self) -> str:
        return str(self.holder[self.field])


def places_of(choice: Json) -> Iterator[Place]:
    """Every text that a model says in pieces: answer, reasoning, refusal, a tool's arguments."""
    part = _part_of(choice)
    for field in TEXT_FIELDS:
        if isinstance(part.get(field), str):
            name = "content" if field == "text" else field
            yield Place(choice, name, part, field)
    for number, call in enumerate(part.get("tool_calls") or ()):
        if isinstance(call, dict):
            index = call.get("index", number)
            yield from _place_in(choice, f"tool {index}", call.get("function"), "arguments")
            yield from _place_in(choice, f"custom {index}", call.get("custom"), "input")
    yield from _place_in(choice, "function_call", part.get("function_call"), "arguments")
    yield from _place_in(choice, "audio", part.get("audio"), "transcript")
    for number, detail in enumerate(part.get("reasoning_details") or ()):
        index = detail.get("index", number) if isinstance(detail, dict) else number
        for field in DETAIL_FIELDS:
            yield from _place_in(choice, f"{field} {index}", detail, field)


def _part_of(choice: Json) -> Json:
    """A stream's delta, a whole message, or the choice itself."""
    found: Json = choice.get("delta") or choice.get("message") or choice
    return found


def _place_in(
    choice: Json,
    name: str,
    holder: object,
    field: str,
) -> Iterator[Place]:
    if isinstance(holder, dict) and isinstance(holder.get(field), str):
        yield Place(choice, name, holder, field)


def whole_places_of(choice: Json) -> Iterator[Place]:
    """Every text beside those that stands whole, in a stream too."""
    part = _part_of(choice)
    for field in WHOLE_FIELDS:
        for slot in slots_in({field: part.get(field)}):
            yield Place(choice, field, slot.holder, slot.field)


def leave_unread(choice: Json) -> None:
    """Takes what nobody reads, and has words in it, out of a piece of a stream."""
    for part in (choice, _part_of(choice)):
        for name in [each for each in part if each not in READ_FIELDS]:
            if any(slots_in({name: part[name]})):
                del part[name]


def places_of_chunk(chunk: Json) -> Iterator[Place]:
    """Texts beside the choices, of an event or a whole answer."""
    yield from _others_in(chunk, chunk, CHUNK_FIELDS)


def places_of_whole(answer: Json) -> list[Place]:
    """Every text of a whole answer."""
    found = list(places_of_chunk(answer))
    for choice in answer["choices"]:
        found += places_of(choice)
        found += whole_places_of(choice)
        found += _other_places(choice)
    return found


def _other_places(choice: Json) -> Iterator[Place]:
    part = _part_of(choice)
    yield from _others_in(choice, choice, READ_FIELDS)
    if part is not choice:
        yield from _others_in(choice, part, READ_FIELDS)


def _others_in(choice: Json, part: Json, read: frozenset[str]) -> Iterator[Place]:
    for name, value in part.items():
        if name in read or name in SPELT_OUT:
            continue
        if isinstance(value, str):
            yield Place(choice, name, part, name)
        else:
            for slot in slots_in(value):
                yield Place(choice, name, slot.holder, slot.field)
