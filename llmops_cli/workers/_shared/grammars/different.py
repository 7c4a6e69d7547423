"""Arrays whose items differ, where the items are too many to be listed."""

import json
from collections.abc import Hashable
from typing import Any, NamedTuple

from _shared.grammars.machine import Machine, State
from _shared.grammars.nodes import CharSet, chars_of

AFTER_A_NUMBER = "0123456789.eE"
SEPARATORS = chars_of("[ ,]")
LONGEST_FORCED = 64
"""Characters that are looked ahead where there is no choice: the rest of `null`, say."""


class DifferentState(NamedTuple):
    """Inside the array: the items that are written, and how far the next one is."""

    used: frozenset[str]
    item: State | None = None
    text: str = ""
    phase: str = "before"


class DifferentItems:
    """An array of a grammar's texts, no two of the same value.

    Where few values are possible an answer can come to a point at which none is left; it fails.
    """

    def __init__(self, *, least: int, most: int | None) -> None:
        """`item` is set before the first step: it may have such arrays in itself."""
        self.item: Machine | None = None
        self._least = least
        self._most = most
        self.start: Hashable = DifferentState(frozenset())

    def step(self, state: object, char: str) -> Hashable | None:
        if not isinstance(state, DifferentState) or state.phase == "closed":
            return None
        if self.item is not None:
            self.item.rest()
        if state.phase == "before":
            return state._replace(phase="open") if char == "[" else None
        return self._item_step(state, char) or self._separator_step(state, char)

    def _item_step(self, state: DifferentState, char: str) -> DifferentState | None:
        if char == " " and state.phase == "after comma" and not state.text:
            return state._replace(phase="after space")
        has_room = self._most is None or len(state.used) < self._most
        if self.item is None or not has_room:
            return None
        item = (state.item or self.item.start).step(char)
        if item is None:
            return None
        longer = DifferentState(state.used, item, state.text + char, "item")
        return None if self._is_stuck(longer) else longer

    def _is_stuck(self, state: DifferentState) -> bool:
        """The item, as far as it can go only one way, has been there and cannot be another one."""
        item = state.item
        text = state.text
        for _ in range(LONGEST_FORCED):
            if item is None or not state.used:
                return False
            if item.accepts:
                break
            following = item.first_chars()
            if following is None or len(following) != 1:
                return False
            item = item.step(following)
            text += following
        if item is None or not item.accepts or value_of(text) not in state.used:
            return False
        return not any(item.step(char) for char in AFTER_A_NUMBER)

    def _separator_step(self, state: DifferentState, char: str) -> DifferentState | None:
        if char == "]" and state.phase == "open" and not self._least:
            return DifferentState(frozenset(), phase="closed")
        if state.item is None or not state.item.accepts:
            return None
        value = value_of(state.text)
        if value in state.used:
            return None
        used = state.used | {value}
        if char == "]" and len(used) >= self._least:
            return DifferentState(used, phase="closed")
        has_room = self._most is None or len(used) < self._most
        return DifferentState(used, phase="after comma") if char == "," and has_room else None

    def is_end(self, state: object) -> bool:
        return isinstance(state, DifferentState) and state.phase == "closed"

    def goes_on(self, state: object) -> bool:
        return not self.is_end(state)

    def next_chars(self, state: object) -> list[CharSet] | None:
        if not isinstance(state, DifferentState) or self.item is None:
            return None
        chars = (state.item or self.item.start).first_chars()
        return None if chars is None else [SEPARATORS, chars_of(chars)]

    def cost(self, state: object, following: object) -> int:
        """With the work of the item's own grammar in the last step."""
        within = 0 if self.item is None else self.item.work
        text = state.text if isinstance(state, DifferentState) else ""
        return 10 + within + len(text) // 4


def value_of(text: str) -> str:
    """Equal for equal values: 1.0 is 1, and an object's names have no order."""
    return json.dumps(with_floats(json.loads(text)), sort_keys=True)


# Any, twice: whatever JSON holds.
def with_floats(value: Any) -> Any:
    if isinstance(value, list):
        return [with_floats(each) for each in value]
    if isinstance(value, dict):
        return {name: with_floats(each) for name, each in value.items()}
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_number else value
