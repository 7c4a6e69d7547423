"""Where texts stand in a choice, whole or in pieces.

Texts that come in pieces have a name that is the same in each piece; what stands whole wherever it
stands is judged as it is; in a stream anything else with words in it is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from llmops_cli.runtime.messages_words import SIGNED_THOUGHTS, signed_thought
from llmops_cli.serve.answers.dialects.slots import SPELT_OUT, slots_in

Json = dict[str, Any]  # Any: OpenAI's fields
THOUGHT = "reasoning_content"
TEXT_FIELDS = ("content", "text", THOUGHT, "reasoning", "refusal")
"""Fields of a choice, or of its message, that hold what a model says."""
SAID = (0, "content", "text", "thinking")
"""Where a part that is no string says its words."""
DETAIL_FIELDS = ("text", "summary")
"""Of an entry of OpenRouter's `reasoning_details`."""
WHOLE_FIELDS = ("annotations", "citations", "search_results")
"""Fields that are told once and all of it."""
WORDLESS_FIELDS = frozenset(
    (
        "finish_reason",
        "index",
        "matched_stop",
        "native_finish_reason",
        "prompt_logprobs",
        "role",
        "stop_reason",
    )
)
"""Fields of a choice, or of its message, that no model writes."""
WITH_DATA = ("audio", "reasoning_details")
"""Fields whose `data` is no text."""
CIPHERED = (*WITH_DATA, SIGNED_THOUGHTS)
"""The same, of those that are only read where they stand whole."""
MESSAGE_FIELDS = WORDLESS_FIELDS.union(
    TEXT_FIELDS,
    WHOLE_FIELDS,
    WITH_DATA,
    ("function_call", "tool_calls"),
)
"""Fields of a stream's piece that are read here, or that no model writes."""
PLAIN_FIELDS = frozenset(("content", "role"))
PLAIN_CHOICE = frozenset(("delta", "finish_reason", "index"))
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


class TextPlace(NamedTuple):
    """Where a text stands. `name` is the same in each piece of a stream."""

    choice: Json
    name: str
    holder: Any  # Any: an object, or a list
    field: str | int

    @property
    def text(self) -> str:
        return str(self.holder[self.field])


class TakenThoughts(NamedTuple):
    """`holder`: where they stood."""

    holder: Json
    blocks: list[Json]

    def put_back(self) -> None:
        self.holder[SIGNED_THOUGHTS] = self.blocks


def places_of(choice: Json) -> Iterator[TextPlace]:
    """Every text that a model says in pieces: answer, reasoning, refusal, a tool's arguments."""
    part = _part_of(choice)
    for field in TEXT_FIELDS:
        if isinstance(part.get(field), str):
            name = "content" if field == "text" else field
            yield TextPlace(choice, name, part, field)
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


def taken_thoughts(choice: Json) -> TakenThoughts:
    """Takes what a model has thought and signed out of a choice, or a stream's piece of one.

    What nobody has signed is left where it is.
    """
    part = _part_of(choice)
    given = part.get(SIGNED_THOUGHTS)
    signed = [signed_thought(block) for block in given] if isinstance(given, list) else []
    blocks = [block for block in signed if block is not None]
    if not blocks or len(blocks) < len(signed):
        return TakenThoughts(part, [])
    del part[SIGNED_THOUGHTS]
    return TakenThoughts(part, blocks)


def _part_of(choice: Json) -> Json:
    """A stream's delta, a whole message, or the choice itself."""
    found: Json = choice.get("delta") or choice.get("message") or choice
    return found


def _place_in(
    choice: Json,
    name: str,
    holder: object,
    field: str,
) -> Iterator[TextPlace]:
    if isinstance(holder, dict) and isinstance(holder.get(field), str):
        yield TextPlace(choice, name, holder, field)


def whole_places_of(choice: Json) -> Iterator[TextPlace]:
    """Every text beside those that stands whole, in a stream too."""
    part = _part_of(choice)
    for field in WHOLE_FIELDS:
        for slot in slots_in({field: part.get(field)}):
            yield TextPlace(choice, field, slot.holder, slot.field)


def is_plain(choice: Json) -> bool:
    """Whether a stream's piece says a piece of its content and nothing else, as nearly all do."""
    delta = choice.get("delta")
    if not isinstance(delta, dict) or not PLAIN_FIELDS.issuperset(delta):
        return False
    return isinstance(delta.get("content"), str) and PLAIN_CHOICE.issuperset(choice)


def other_places_of(choice: Json, known: Iterable[TextPlace]) -> Iterator[TextPlace]:
    """Every text that stands elsewhere: names, what is new, what has another form."""
    seen = {(id(place.holder), place.field) for place in known}
    part = _part_of(choice)
    for holder in (choice,) if part is choice else (part, choice):
        for place in _others_in(choice, holder, WORDLESS_FIELDS):
            if (id(place.holder), place.field) in seen:
                continue
            seen.add((id(place.holder), place.field))
            if place.field != "data" or place.name not in CIPHERED:
                yield place


def leave_unread(choice: Json) -> None:
    """Takes what nobody reads, and has words in it, out of a piece of a stream."""
    part = _part_of(choice)
    _leave_unread(part, MESSAGE_FIELDS)
    if part is not choice:
        for name in [each for each, inner in choice.items() if inner is not part]:
            _leave_unread(choice, WORDLESS_FIELDS, name)


def _leave_unread(holder: Json, read: frozenset[str], *names: str) -> None:
    for name in names or tuple(holder):
        if name not in read and any(slots_in({name: holder[name]})):
            del holder[name]


def settle_forms(choice: Json) -> None:
    """Texts that are lists of parts (Mistral's), and arguments that are objects, as strings.

    Of a piece of a stream, so that each is one text from its first piece to its last.
    """
    part = _part_of(choice)
    for field in TEXT_FIELDS:
        if isinstance(part.get(field), dict | list):
            _settle_text(part, field)
    for function in _called_in(part):
        if isinstance(function.get("arguments"), dict | list):
            function["arguments"] = msgspec.json.encode(function["arguments"]).decode()


def _settle_text(part: Json, field: str) -> None:
    items = part[field] if isinstance(part[field], list) else [part[field]]
    said = {field: "", THOUGHT: str(part.get(THOUGHT) or "")}
    for item in items:
        is_thought = isinstance(item, dict) and item.get("type") == "thinking"
        name = THOUGHT if is_thought else field
        said[name] += "".join([slot.text for slot in slots_in([item]) if slot.field in SAID])
    part |= {name: text for name, text in said.items() if text or name == field}


def _called_in(part: Json) -> Iterator[Json]:
    calls = [each.get("function") for each in part.get("tool_calls") or ()]
    for function in (*calls, part.get("function_call")):
        if isinstance(function, dict):
            yield function


def places_of_chunk(chunk: Json) -> Iterator[TextPlace]:
    """Texts beside the choices, of an event or a whole answer."""
    yield from _others_in(chunk, chunk, CHUNK_FIELDS)


def places_of_whole(answer: Json) -> list[TextPlace]:
    """Every text of a whole answer."""
    found = list(places_of_chunk(answer))
    for choice in answer["choices"]:
        known = [*places_of(choice), *whole_places_of(choice)]
        found += known
        found += other_places_of(choice, known)
    return found


def _others_in(choice: Json, part: Json, read: frozenset[str]) -> Iterator[TextPlace]:
    for name, value in part.items():
        if name in read or name in SPELT_OUT:
            continue
        if isinstance(value, str):
            yield TextPlace(choice, name, part, name)
        else:
            for slot in slots_in(value):
                yield TextPlace(choice, name, slot.holder, slot.field)
