"""Prompts without what the policy takes out of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from llmops_cli.serve.api_words import API_WORDS, KINDS
from llmops_cli.serve.context import Fields
from llmops_cli.serve.fields import FURTHER, READ
from llmops_cli.serve.media import MEDIA
from llmops_cli.serve.passed_endpoints import KNOWN
from llmops_cli.serve.prompts.filled import FilledPrompt
from llmops_cli.serve.reading import CALLS, TOOL_CALL, Reading, read, role_of

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.policy import Policy

LEFT = ("redact", "block")


class RedactedPrompt(NamedTuple):
    """`fields`: those that are other than they were, as they are sent; `values`: decoded.

    `filled`: a prompt of the gateway's with what is left of its variables.
    """

    fields: dict[str, msgspec.Raw]
    values: dict[str, Any]  # Any: OpenAI's fields
    reading: Reading
    filled: FilledPrompt | None


class TextSlot(NamedTuple):
    """A place in a body: `holder[at]`. `media`: data that is no text may stand there."""

    holder: Any  # Any: a list or an object of JSON
    at: Any
    role: str
    media: bool


def redacted_prompt(
    policy: Policy,
    fields: Fields,
    path: str,
    further: frozenset[str],
    filled: FilledPrompt | None = None,
) -> RedactedPrompt | None:
    """None if something is left that cannot be taken out.

    What several strings say together, names of fields, files. Variables of a prompt are a user's
    texts before they are filled in: what is taken out of them is missing wherever they stand.
    """
    from llmops_cli.guard.check import Guard

    guard = Guard(policy)
    endpoint = KNOWN[path]
    route = endpoint.target.path
    table = endpoint.target.fields
    values = {name: msgspec.json.decode(raw) for name, raw in fields.items()}
    changed: dict[str, msgspec.Raw] = {}
    if filled is not None:
        filled = filled.with_values(lambda text: _without(guard, text, "user", route))
        if any(_is_left(guard, text, "user", route) for text in filled.values.values()):
            return None
        values["messages"][: filled.length] = filled.messages()
        changed["messages"] = msgspec.Raw(msgspec.json.encode(values["messages"]))
    for name in fields:
        known = table.get(name) or (FURTHER if name in further else None)
        if known is None or known.carries not in READ:
            continue
        if _redact(guard, TextSlot(values, name, known.role, known.has_media), route):
            changed[name] = msgspec.Raw(msgspec.json.encode(values[name]))
    reading = read(table, values, prompt=endpoint.prompt, further=further)
    for role, text in (*reading.texts, *reading.joined):
        if _is_left(guard, text, role, route):
            return None
    return RedactedPrompt(changed, {name: values[name] for name in changed}, reading, filled)


def _is_left(guard: Guard, text: str, role: str, route: str) -> bool:
    return guard.check_input(text, role=role, route=route).action in LEFT


def _without(guard: Guard, text: str, role: str, route: str) -> str:
    """The text without what the policy takes out of it."""
    decision = guard.check_input(text, role=role, route=route)
    return decision.text if decision.action == "redact" else text


def _redact(guard: Guard, root: TextSlot, route: str) -> bool:
    """In place; whether there was anything."""
    found = False
    for holder, at, role, _ in _strings(root):
        text = _without(guard, holder[at], role, route)
        if text != holder[at]:
            holder[at] = text
            found = True
    return found


def _strings(root: TextSlot) -> Iterator[TextSlot]:
    """A stack of its own: a body may be nested deeper than Python's calls."""
    waiting = [root]
    while waiting:
        slot = waiting.pop()
        value = slot.holder[slot.at]
        if isinstance(value, str):
            yield slot
        elif isinstance(value, list):
            waiting += [slot._replace(holder=value, at=index) for index in range(len(value))]
        elif isinstance(value, dict):
            role = role_of(value, slot.role)
            media = slot.media and role != TOOL_CALL
            waiting += [
                TextSlot(
                    value, key, TOOL_CALL if key in CALLS else role, media and key not in CALLS
                )
                for key, below in value.items()
                if not _is_fixed(key, below, media=media)
            ]


def _is_fixed(key: str, value: object, *, media: bool) -> bool:
    """A word of the API, or data that is no text."""
    if media and key in MEDIA:
        return True
    return key in KINDS and isinstance(value, str) and value in API_WORDS
