"""Reads calls whose arguments stand between tags out of a text while it is written."""

import json
import re
from ast import literal_eval
from enum import Enum
from typing import Any

from _shared.tools.events import (
    LONGEST_HEAD,
    Arguments,
    CallBegin,
    Content,
    ToolEvent,
    common_end,
    new_call_id,
)
from _shared.tools.tags import Tags

LONGEST_VALUE = 20_000
"""Characters of a value in Python's words, which take longer to read."""
NAME = r"(?P<name>[\w.:/-]{1,200})"

# Any: a JSON schema, or what stands for a value in one.
Parameters = dict[str, Any]


class Phase(Enum):
    """What the next text belongs to."""

    CONTENT = 1
    HEAD = 2
    KEY = 3
    VALUE = 4


class TaggedReader:
    """Feed text, get events; an argument's value is given when it is whole.

    `parameters`: the schema of each tool's arguments, which says what is a text and what is not.
    """

    def __init__(
        self,
        tags: Tags,
        parameters: dict[str, Parameters],
        *,
        is_in_call: bool = False,
    ) -> None:
        """`is_in_call`: the opening was written for the model."""
        self._parameters = parameters
        self._anchor = tags.anchor
        self._patterns = Patterns(tags)
        self._head = self._patterns.name if is_in_call else self._patterns.head
        self._phase = Phase.HEAD if is_in_call else Phase.CONTENT
        self._is_forced = is_in_call
        self._held = ""
        self._name = ""
        self._key = ""
        self._has_arguments = False
        self.calls = 0

    @property
    def is_in_arguments(self) -> bool:
        """The last call is not whole."""
        return self._phase in (Phase.KEY, Phase.VALUE)

    def feed(self, text: str) -> list[ToolEvent]:
        self._held += text
        events: list[ToolEvent] = []
        while self._held and self._advance(events):
            pass
        return events

    def finish(self) -> list[ToolEvent]:
        rest = self._held
        self._held = ""
        if self._phase is Phase.CONTENT:
            return [Content(rest)] if rest and (rest.strip() or not self.calls) else []
        if self._phase is Phase.HEAD and not self.calls:
            opening = "" if self._is_forced else self._anchor
            return [Content(opening + rest)]
        return []

    def _advance(self, events: list[ToolEvent]) -> bool:
        if self._phase is Phase.CONTENT:
            return self._read_content(events)
        if self._phase is Phase.HEAD:
            return self._read_head(events)
        if self._phase is Phase.KEY:
            return self._read_key()
        return self._read_value(events)

    def _read_content(self, events: list[ToolEvent]) -> bool:
        place = self._held.find(self._anchor)
        if place >= 0:
            self._give(events, self._held[:place])
            self._held = self._held[place + len(self._anchor) :]
            self._head = self._patterns.head
            self._phase = Phase.HEAD
            return True
        held = common_end(self._held, self._anchor)
        self._give(events, self._held[: len(self._held) - held])
        self._held = self._held[len(self._held) - held :]
        return False

    def _give(self, events: list[ToolEvent], text: str) -> None:
        """Blanks between calls are nothing to show."""
        if text and (self.calls == 0 or text.strip()):
            events.append(Content(text))

    def _read_head(self, events: list[ToolEvent]) -> bool:
        found = self._head.match(self._held)
        if found is None:
            if len(self._held) > LONGEST_HEAD:
                events.append(Content(("" if self._is_forced else self._anchor) + self._held))
                self._held = ""
                self._phase = Phase.CONTENT
            return False
        self._name = found["name"]
        self._has_arguments = False
        events.append(CallBegin(self.calls, new_call_id(), self._name))
        self.calls += 1
        self._held = self._held[found.end() :]
        if found["first"] is not None:
            self._phase = Phase.KEY
            return True
        events.append(Arguments(self.calls - 1, "{}"))
        self._end_call(is_followed=found["between"] is not None)
        return True

    def _end_call(self, *, is_followed: bool) -> None:
        self._phase = Phase.HEAD if is_followed else Phase.CONTENT
        self._head = self._patterns.name

    def _read_key(self) -> bool:
        found = self._patterns.equals.search(self._held)
        if found is None:
            return False
        self._key = self._held[: found.start()].strip()
        self._held = self._held[found.end() :]
        self._phase = Phase.VALUE
        return True

    def _read_value(self, events: list[ToolEvent]) -> bool:
        found = self._patterns.end.search(self._held)
        if found is None:
            return False
        text = self._held[: found.start()].removeprefix(self._patterns.before_value)
        self._held = self._held[found.end() :]
        begin = ", " if self._has_arguments else "{"
        pair = f"{begin}{quoted(self._key)}: {self._value(text)}"
        self._has_arguments = True
        if found["next"] is not None:
            self._phase = Phase.KEY
        else:
            pair += "}"
            self._end_call(is_followed=found["between"] is not None)
        events.append(Arguments(self.calls - 1, pair))
        return True

    def _value(self, text: str) -> str:
        """As JSON."""
        properties = self._parameters.get(self._name, {}).get("properties")
        schema = properties.get(self._key) if isinstance(properties, dict) else None
        return value_of(text, schema if isinstance(schema, dict) else {})


class Patterns:
    """The tags as patterns, however a model puts blanks between them."""

    def __init__(self, tags: Tags) -> None:
        rest = tags.opening.removeprefix(tags.anchor)
        after_name = alternatives(
            first=tags.first,
            between=apart(tags.between_empty, tags.anchor),
            empty=tags.empty,
        )
        self.head = re.compile(rf"\s*{loose(rest)}\s*{NAME}{after_name}")
        self.name = re.compile(rf"\s*{NAME}{after_name}")
        equals = tags.equals.rstrip()
        self.before_value = tags.equals[len(equals) :]
        self.equals = re.compile(loose(equals))
        self.end = re.compile(
            alternatives(
                next=tags.next,
                between=apart(tags.between, tags.anchor),
                last=tags.last,
                is_after_value=True,
            )
        )


def apart(between: str | None, anchor: str) -> str | None:
    """None where the next call has an opening that is looked for anyway."""
    return None if between is None or anchor in between else between


def alternatives(*, is_after_value: bool = False, **marks: str | None) -> str:
    """The first that fits; a mark that there is not fits nothing."""
    never = "(?!)"
    options = [
        f"(?P<{name}>{never if mark is None else loose(mark, is_after_value=is_after_value)})"
        for name, mark in marks.items()
    ]
    return f"(?:{'|'.join(options)})"


def loose(
    mark: str,
    *,
    is_after_value: bool = False,
) -> str:
    """Blanks within are any blanks; behind a value they are the mark's own, or none."""
    pieces = re.split(r"(\s+)", mark)
    written = [r"\s*" if piece.isspace() else re.escape(piece) for piece in pieces]
    if is_after_value and pieces[0] == "" and len(pieces) > 1:
        written[1] = f"(?:{re.escape(pieces[1])})?"
    return "".join(written)


def value_of(text: str, schema: Parameters) -> str:
    """What was written for an argument, as JSON: a text is written as it is, all else as JSON."""
    given = schema.get("type")
    types = given if isinstance(given, list) else [given]
    listed = schema.get("enum", [])
    is_listed = isinstance(listed, list) and text in listed
    if types == ["string"] or is_listed:
        return quoted(text)
    value = read_value(text)
    is_text_for_it = "string" in types and kind_of(value) not in types
    return quoted(text) if is_text_for_it else quoted(value)


# Any: whatever JSON holds.
def read_value(text: str) -> Any:
    """JSON, or Python's own words: some templates write values so. A text if it is neither."""
    for read in (json.loads, literal_eval) if len(text) < LONGEST_VALUE else (json.loads,):
        try:
            value = read(text.strip())
            json.dumps(value, allow_nan=False)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        return value
    return text


# Any: whatever JSON holds.
def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    kinds: dict[type, str] = {int: "integer", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "string")


def quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
