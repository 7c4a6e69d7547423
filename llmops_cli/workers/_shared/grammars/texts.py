"""Quoted texts that no rule can hold: with a pattern and a length, or other than some names."""

from collections.abc import Hashable
from typing import NamedTuple

from _shared.grammars.nodes import (
    CharSet,
    Unsatisfiable,
    chars_of,
    span,
)
from _shared.grammars.patterns import Pattern

LONGEST_COUNTED = 1_024
"""Characters of a text with both a pattern and a length; longer ones are not written."""
ESCAPED = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
PLAIN = CharSet([(0, 31), span('"', '"'), span("\\", "\\")]).inverted()
QUOTE = chars_of('"')
BACKSLASH = chars_of("\\")
ESCAPES = [chars_of(char) for char in ESCAPED]
WRITABLE = CharSet([*PLAIN.ranges, *chars_of("".join(ESCAPED.values())).ranges])


BASE_COST = 8


class TextState(NamedTuple):
    """Inside a quoted text: its pattern's places, its length so far, what stands before."""

    places: frozenset[int]
    length: int
    is_escaping: bool = False
    is_open: bool = False
    is_closed: bool = False


class PatternText:
    """A quoted text that matches a pattern and has a length."""

    def __init__(self, pattern: Pattern, *, least: int, most: int | None) -> None:
        """Raises: GrammarError if no text does both."""
        self._pattern = pattern
        self._least = least
        self._most = most
        self._lengths: list[int] | None = None
        if least or most is not None:
            limit = LONGEST_COUNTED if most is None else min(most, LONGEST_COUNTED)
            self._most = limit
            self._lengths = pattern.lengths(limit)
        self.start: Hashable = TextState(pattern.start, 0)
        if not self._is_possible(pattern.start, 0):
            raise Unsatisfiable("pattern: no text matches it with this length")

    def step(self, state: object, char: str) -> Hashable | None:
        if not isinstance(state, TextState) or state.is_closed:
            return None
        if not state.is_open:
            return state._replace(is_open=True) if char == '"' else None
        if state.is_escaping:
            meant = ESCAPED.get(char)
            return None if meant is None else self._after(state, meant)
        if char == '"':
            return state._replace(is_closed=True) if self._may_close(state) else None
        if char == "\\":
            can_escape = any(self._after(state, meant) for meant in ESCAPED.values())
            return state._replace(is_escaping=True) if can_escape else None
        return self._after(state, char) if char in PLAIN else None

    def _after(self, state: TextState, char: str) -> TextState | None:
        places = self._pattern.step(state.places, char)
        # Without lengths nothing counts, so that equal places are equal states.
        length = 0 if self._lengths is None else state.length + 1
        if not places or not self._is_possible(places, length):
            return None
        return TextState(places, length, is_open=True)

    def _is_possible(self, places: frozenset[int], length: int) -> bool:
        """Whether some rest makes it match with a right length."""
        if self._lengths is None:
            return bool(places)
        wanted = self._wanted(length)
        return any(self._lengths[place] & wanted for place in places)

    def _wanted(self, length: int) -> int:
        """How many characters may be missing, as bits."""
        most = (self._most or 0) - length
        if most < 0:
            return 0
        least = max(0, self._least - length)
        return (1 << (most + 1)) - (1 << least)

    def _may_close(self, state: TextState) -> bool:
        return self._pattern.final in state.places and state.length >= self._least

    def is_end(self, state: object) -> bool:
        return isinstance(state, TextState) and state.is_closed

    def goes_on(self, state: object) -> bool:
        return not self.is_end(state)

    def next_chars(self, state: object) -> list[CharSet] | None:
        if not isinstance(state, TextState) or state.is_closed:
            return []
        if not state.is_open:
            return [QUOTE]
        if state.is_escaping:
            return ESCAPES
        closing = [QUOTE] if self._may_close(state) else []
        return [*closing, BACKSLASH, *self._pattern.next_chars(state.places)]

    def cost(self, state: object, following: object) -> int:
        ends = [each for each in (state, following) if isinstance(each, TextState)]
        per_place = 1 if self._lengths is None else 3
        return BASE_COST + per_place * sum(len(each.places) for each in ends)


class KeyState(NamedTuple):
    """Inside a quoted text. `text`: all of it so far, while one of the taken ones begins so."""

    text: str | None = ""
    length: int = 0
    is_closed: bool = False


class OtherKey:
    """A quoted text that is none of these, and has a length."""

    def __init__(self, taken: frozenset[str], *, least: int = 0, most: int | None = None) -> None:
        self._taken = taken
        self._least = least
        self._most = most
        self.start: Hashable = None
        if most == 0 and "" in taken:
            raise Unsatisfiable("no text is left")

    def step(self, state: object, char: str) -> Hashable | None:
        if state is None:
            return KeyState() if char == '"' else None
        if not isinstance(state, KeyState) or state.is_closed:
            return None
        if char == '"':
            is_other = state.text not in self._taken and state.length >= self._least
            return KeyState(None, 0, is_closed=True) if is_other else None
        return self._after(state, char) if char in PLAIN else None

    def _after(self, state: KeyState, char: str) -> KeyState | None:
        longer = None if state.text is None else state.text + char
        is_beginning = longer is not None and any(name.startswith(longer) for name in self._taken)
        length = self._counted(state.length + 1)
        is_full = self._most is not None and length >= self._most
        is_over = self._most is not None and length > self._most
        if is_over or (is_full and longer in self._taken):
            return None
        return KeyState(longer if is_beginning else None, length)

    def _counted(self, length: int) -> int:
        """No further than it matters, so that equal states are equal."""
        return length if self._most is not None else min(length, self._least)

    def is_end(self, state: object) -> bool:
        return isinstance(state, KeyState) and state.is_closed

    def goes_on(self, state: object) -> bool:
        return not self.is_end(state)

    def next_chars(self, state: object) -> list[CharSet] | None:
        return [QUOTE] if state is None else None

    def cost(self, state: object, following: object) -> int:
        return BASE_COST + len(self._taken) // 4
