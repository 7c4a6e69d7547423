"""Arrays whose items differ, where the items are too many to be listed."""

import json
from collections.abc import Hashable
from typing import Any, NamedTuple

from _shared.grammars.machine import Machine
from _shared.grammars.nodes import CharSet, GrammarError, chars_of
from _shared.grammars.states import State

SEPARATORS = chars_of("[ ,]")
UNTOLD = ""
MOST_CHECKED = 64
MOST_LOOKED_AT = 400
"""Characters that are tried to find an item that has not been there yet."""


class DifferentState(NamedTuple):
    """Inside the array: the items that are written, and how far the next one is."""

    used: frozenset[str]
    item: State | None = None
    text: str = ""
    phase: str = "before"


class DifferentItems:
    """An array of a grammar's texts, no two of the same value.

    No item is begun, and no character of one written, with which only earlier ones could follow.
    """

    def __init__(self, *, least: int, most: int | None) -> None:
        """`item` is set before the first step: it may have such arrays in itself."""
        self.item: Machine | None = None
        self._looked_at = 0
        self._least = least
        self._most = most
        self.start: Hashable = DifferentState(frozenset())

    def step(self, state: object, char: str) -> Hashable | None:
        if not isinstance(state, DifferentState) or state.phase == "closed":
            return None
        self._looked_at = 0
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
        """However the item goes on, it becomes one that has been there."""
        if state.item is None or not state.used:
            return False
        return self._other(state.item, state.text, state.used) is None

    def check(self) -> None:
        """Raises: GrammarError if there are too few items, as far as that is soon to tell."""
        used: frozenset[str] = frozenset()
        if self.item is None:
            return
        for _ in range(min(self._least, MOST_CHECKED)):
            self.item.rest()
            value = self._other(self.item.start, "", used)
            if value is None:
                message = f"uniqueItems: there are fewer than {self._least} different items"
                raise GrammarError(message)
            if value == UNTOLD:
                return
            used |= {value}

    def _other(self, item: State, text: str, used: frozenset[str]) -> str | None:
        """An item that begins so and is none of those; UNTOLD if that takes long to tell."""
        waiting = [(item, text)]
        for _ in range(MOST_LOOKED_AT):
            if not waiting:
                return None
            self._looked_at += 1
            here, written = waiting.pop()
            value = value_of(written) if here.accepts else UNTOLD
            if value != UNTOLD and value not in used:
                return value
            following = here.first_chars()
            if following is None:
                return UNTOLD
            for char in without_blanks(following, written):
                after = here.step(char)
                if after is not None:
                    waiting.append((after, written + char))
        return UNTOLD

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
        if char != "," or not has_room or self.item is None:
            return None
        other = self._other(self.item.start, "", used)
        return None if other is None else DifferentState(used, phase="after comma")

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
        return 10 + within + len(text) // 4 + 8 * self._looked_at


def without_blanks(chars: str, text: str) -> str:
    """Blanks between the parts of a value make no other value of it."""
    is_in_text = text.replace("\\\\", "").replace('\\"', "").count('"') % 2 == 1
    return chars if is_in_text else chars.strip(" \n\t")


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
