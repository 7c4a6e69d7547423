"""Reads calls whose name and JSON arguments stand between a template's marks."""

import re
from enum import Enum

from _shared.tools.events import (
    LONGEST_HEAD,
    Arguments,
    CallBegin,
    Content,
    ToolEvent,
    common_end,
    new_call_id,
)
from _shared.tools.framed import CallFrame, may_become, pattern_of
from _shared.tools.values import ValueScanner

NAME_PATTERN = r"([\w.:/-]{1,200}?)"
END_PIECES = re.compile(r"<[^<>]*>|[^<>\s]+")


class Place(Enum):
    """What the next text belongs to."""

    CONTENT = 1
    HEAD = 2
    ARGUMENTS = 3
    CLOSING = 4
    AFTER = 5


class FramedReader:
    """Feed text, get events."""

    def __init__(self, frame: CallFrame, *, is_in_call: bool = False) -> None:
        """`is_in_call`: what stands before the first name was written for the model."""
        head = NAME_PATTERN + pattern_of(frame.separator) + r"\s*(?=\{)"
        self._frame = frame
        self._first = re.compile(pattern_of(frame.first) + head)
        self._next = re.compile(r"\s*" + pattern_of(frame.join + frame.opening) + head)
        self._closing = re.compile(r"\s*" + pattern_of(frame.closing))
        self._ends = END_PIECES.findall(frame.end)
        self._place = Place.HEAD if is_in_call else Place.CONTENT
        self._held = frame.first if is_in_call else ""
        self._scanner = ValueScanner()
        self.calls = 0

    @property
    def is_in_arguments(self) -> bool:
        """The last call is not whole."""
        return self._place is Place.ARGUMENTS

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
        if rest and self._place in (Place.CONTENT, Place.HEAD):
            return [Content(rest)]
        return []

    def _advance(self, events: list[ToolEvent]) -> bool:
        """Takes one step; False if it needs more text."""
        if self._place is Place.CONTENT:
            return self._read_content(events)
        if self._place is Place.HEAD:
            return self._read_head(events)
        if self._place is Place.ARGUMENTS:
            return self._read_arguments(events)
        if self._place is Place.CLOSING:
            return self._read_closing()
        return self._read_after(events)

    def _read_content(self, events: list[ToolEvent]) -> bool:
        anchor = self._frame.anchor
        place = self._held.find(anchor)
        is_call = place >= 0
        if not is_call:
            place = len(self._held) - common_end(self._held, anchor)
        self._give(events, self._held[:place])
        self._held = self._held[place:]
        if is_call:
            self._place = Place.HEAD
        return is_call

    def _give(self, events: list[ToolEvent], text: str) -> None:
        """Blanks after calls are nothing to show."""
        if text and (self.calls == 0 or text.strip()):
            events.append(Content(text))

    def _read_head(self, events: list[ToolEvent]) -> bool:
        found = self._first.match(self._held)
        if found is not None:
            self._begin(found, events)
            return True
        if self._may_become(self._frame.first):
            return False
        # It only looked like a call: its first character is what can not begin another one.
        self._give(events, self._held[:1])
        self._held = self._held[1:]
        self._place = Place.CONTENT
        return True

    def _may_become(self, mark: str) -> bool:
        return len(self._held) <= LONGEST_HEAD and may_become(self._held, mark)

    def _begin(self, found: re.Match[str], events: list[ToolEvent]) -> None:
        events.append(CallBegin(self.calls, new_call_id(), found[1]))
        self.calls += 1
        self._held = self._held[found.end() :]
        self._scanner = ValueScanner()
        self._place = Place.ARGUMENTS

    def _read_arguments(self, events: list[ToolEvent]) -> bool:
        taken = self._scanner.feed(self._held)
        if taken:
            events.append(Arguments(self.calls - 1, self._held[:taken]))
        self._held = self._held[taken:]
        if self._scanner.is_done:
            self._place = Place.CLOSING
        return self._scanner.is_done

    def _read_closing(self) -> bool:
        found = self._closing.match(self._held)
        if found is None and self._may_become(self._frame.closing):
            return False
        self._held = self._held[found.end() :] if found else self._held
        self._place = Place.AFTER
        return True

    def _read_after(self, events: list[ToolEvent]) -> bool:
        """Another call, the end of all of them, or something for people."""
        found = self._next.match(self._held)
        if found is not None and self._frame.has_several:
            self._begin(found, events)
            return True
        text = self._held.lstrip()
        for piece in self._ends:
            if text.startswith(piece):
                self._held = text[len(piece) :]
                return bool(self._held)
        waits_for = [self._frame.join + self._frame.opening, *self._ends]
        if not text or any(map(self._may_become, filter(None, waits_for))):
            return False
        self._place = Place.CONTENT
        return True
