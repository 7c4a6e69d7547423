"""Reads calls of tools out of a model's text while it is written: the rest is for people."""

import json
import re
from enum import Enum
from typing import NamedTuple

from _shared.tools.events import (
    LONGEST_HEAD,
    Arguments,
    CallBegin,
    Content,
    ToolEvent,
    common_end,
    new_call_id,
)
from _shared.tools.layouts import Layout
from _shared.tools.values import ValueScanner

NAME_OF_TOOL = re.compile(r"[\w.:/-]{1,200}")


class Phase(Enum):
    """What the next text belongs to."""

    CONTENT = 1
    HEAD = 2
    ARGUMENTS = 3
    TAIL = 4


class CallReader:
    """Feed text, get events. `names`: the tools that there are."""

    def __init__(
        self,
        layout: Layout,
        names: frozenset[str],
        *,
        is_in_call: bool = False,
    ) -> None:
        """`is_in_call`: the opening was written for the model."""
        self._layout = layout
        self._names = names
        self._has_no_opening = not layout.opening
        self._phase = Phase.HEAD if is_in_call or self._has_no_opening else Phase.CONTENT
        self._is_forced = is_in_call
        self._held = ""
        self._scanner = ValueScanner()
        self.calls = 0

    @property
    def is_in_arguments(self) -> bool:
        """The last call is not whole."""
        return self._phase is Phase.ARGUMENTS

    def feed(self, text: str) -> list[ToolEvent]:
        self._held += text
        events: list[ToolEvent] = []
        while self._held and self._advance(events):
            pass
        return events

    def finish(self) -> list[ToolEvent]:
        """What was held back: no call after all, if its name was never said."""
        rest = self._held
        self._held = ""
        if not rest:
            return []
        if self._phase is Phase.CONTENT:
            return [Content(rest)]
        if self._phase is Phase.HEAD:
            opening = self._layout.opening if self.calls == 0 and not self._is_forced else ""
            return [] if not rest.strip(" \n,]") else [Content(opening + rest)]
        return []

    def _advance(self, events: list[ToolEvent]) -> bool:
        """Takes one step; False if it needs more text."""
        if self._phase is Phase.CONTENT:
            return self._read_content(events)
        if self._phase is Phase.HEAD:
            return self._read_head(events)
        if self._phase is Phase.ARGUMENTS:
            return self._read_arguments(events)
        return self._read_tail()

    def _read_content(self, events: list[ToolEvent]) -> bool:
        opening = self._layout.opening
        place = self._held.find(opening) if opening else -1
        if place >= 0:
            self._give(events, self._held[:place])
            self._held = self._held[place + len(opening) :]
            self._phase = Phase.HEAD
            return True
        held = common_end(self._held, opening)
        self._give(events, self._held[: len(self._held) - held])
        self._held = self._held[len(self._held) - held :]
        return False

    def _give(self, events: list[ToolEvent], text: str) -> None:
        """Blanks between calls are nothing to show."""
        if text and (self.calls == 0 or text.strip()):
            events.append(Content(text))

    def _read_head(self, events: list[ToolEvent]) -> bool:
        """The name, up to where the arguments begin."""
        head = self._layout
        found = named_head(self._held, head) if head.separator else object_head(self._held, head)
        if found is not None and self._is_tool(found.name):
            begin = CallBegin(self.calls, new_call_id(), found.name)
            events.append(begin)
            self.calls += 1
            self._held = self._held[found.length :]
            self._scanner = ValueScanner()
            self._phase = Phase.ARGUMENTS
            return True
        if self._may_be_head(found):
            return False
        whole = self._whole_call()
        if whole is not None and self._is_tool(whole.name):
            self._give_whole(whole, events)
            return True
        opening = "" if self._has_no_opening or self._is_forced else self._layout.opening
        events.append(Content(opening + self._held))
        self._held = ""
        self._phase = Phase.CONTENT
        return False

    def _is_tool(self, name: str) -> bool:
        """Where nothing marks a call, only a name that exists makes it one."""
        return name in self._names or not self._has_no_opening

    def _may_be_head(self, found: "Head | None") -> bool:
        if found is not None or len(self._held) > LONGEST_HEAD:
            return False
        text = self._held.lstrip(" \n\t,;")
        if self._layout.separator:
            closing = self._layout.closing
            return not (closing and closing in text) and "\n\n" not in text
        if self._layout.prefix.startswith(text):
            return True
        text = without_prefix(text, self._layout)
        text = text.removeprefix("[").lstrip() if self._layout.is_list else text
        if text and not text.startswith("{"):
            return False
        return not is_whole_value(text)

    def _whole_call(self) -> "Whole | None":
        """A call whose keys come in another order can be read once it is there."""
        if self._layout.separator:
            return None
        start = self._held.find("{")
        if start < 0:
            return None
        scanner = ValueScanner()
        length = scanner.feed(self._held[start:])
        if not scanner.is_done:
            return None
        return whole_call(self._held[start : start + length], start + length, self._layout)

    def _give_whole(self, whole: "Whole", events: list[ToolEvent]) -> None:
        events.append(CallBegin(self.calls, new_call_id(), whole.name))
        events.append(Arguments(self.calls, whole.arguments))
        self.calls += 1
        self._held = "}" + self._held[whole.length :]
        self._phase = Phase.TAIL

    def _read_arguments(self, events: list[ToolEvent]) -> bool:
        taken = self._scanner.feed(self._held)
        if taken:
            events.append(Arguments(self.calls - 1, self._held[:taken]))
        self._held = self._held[taken:]
        if not self._scanner.is_done:
            return False
        self._phase = Phase.TAIL
        return True

    def _read_tail(self) -> bool:
        """From the end of the arguments to whatever comes after the call."""
        layout = self._layout
        if layout.is_list:
            return self._read_list_tail()
        if not layout.separator:
            self._held = self._held.lstrip()
            if not self._held:
                return False
            self._held = self._held.removeprefix("}")
        if layout.closing:
            place = self._held.find(layout.closing)
            if place < 0:
                return self._keep_for_tail()
            self._held = self._held[place + len(layout.closing) :]
        self._phase = Phase.HEAD if self._has_no_opening else Phase.CONTENT
        return True

    def _keep_for_tail(self) -> bool:
        if not self._layout.separator:
            # The brace is taken once: without it the next text would lose one of its own.
            self._held = "}" + self._held
        return False

    def _read_list_tail(self) -> bool:
        """Behind the call's brace there is a comma, or the list's end."""
        for place, char in enumerate(self._held):
            if char == "]":
                self._held = self._held[place + 1 :]
                self._phase = Phase.CONTENT
                return True
            if char == ",":
                self._held = self._held[place + 1 :]
                self._phase = Phase.HEAD
                return True
        self._held = ""
        return False


class Head(NamedTuple):
    """A call's name, and how many characters stand before its arguments."""

    name: str
    length: int


class Whole(NamedTuple):
    """A call with its arguments as JSON text, and where it ends."""

    name: str
    arguments: str
    length: int


def without_prefix(text: str, layout: Layout) -> str:
    return text.removeprefix(layout.prefix).lstrip() if layout.prefix else text


def named_head(text: str, layout: Layout) -> Head | None:
    place = text.find(layout.separator)
    if place < 0:
        return None
    name = text[:place].strip()
    if not NAME_OF_TOOL.fullmatch(name):
        return None
    return Head(name, place + len(layout.separator))


def object_head(text: str, layout: Layout) -> Head | None:
    """`{"name": "x", "arguments": `, however it is spaced."""
    start = text.find("{")
    before = without_prefix(text[: max(start, 0)].strip(), layout)
    if start < 0 or before.strip(" \n\t,;["):
        return None
    pattern = head_pattern(layout.arguments)
    found = pattern.match(text, start)
    if found is None:
        return None
    return Head(json.loads(f'"{found[1]}"', strict=False), found.end())


def head_pattern(key: str) -> re.Pattern[str]:
    keys = f"(?:{key}|arguments|parameters)"
    text = r'"((?:[^"\\]|\\["\\/bfnrt])*)"'
    return re.compile(
        rf'\{{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*{text}\s*,\s*"{keys}"\s*:\s*(?=\S)'
    )


def is_whole_value(text: str) -> bool:
    scanner = ValueScanner()
    scanner.feed(text)
    return scanner.is_done


def whole_call(text: str, length: int, layout: Layout) -> Whole | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    name = value.get("name")
    if not isinstance(name, str):
        return None
    for key in (layout.arguments, "arguments", "parameters"):
        if key in value:
            return Whole(name, json.dumps(value[key], ensure_ascii=False), length)
    return Whole(name, "{}", length)
