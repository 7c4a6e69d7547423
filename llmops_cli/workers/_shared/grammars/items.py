"""Arrays of distinct items that are listed."""

from bisect import bisect_left
from collections.abc import Hashable
from typing import NamedTuple

from _shared.grammars.nodes import LAST_CODE, CharSet, Unsatisfiable, chars_of

BRACKETS = chars_of("[]")
SEPARATORS = chars_of(" ,]")


class ItemsState(NamedTuple):
    """Inside an array of distinct values: those that are written, and the text of the next."""

    used: frozenset[str]
    text: str = ""
    phase: str = "before"


class DistinctItems:
    """An array whose items are different ones of a list of JSON texts."""

    def __init__(self, texts: list[str], *, least: int, most: int | None) -> None:
        """Raises: GrammarError if there are too few of them."""
        self._texts = sorted(texts)
        self._known = frozenset(texts)
        self._least = least
        self._most = len(texts) if most is None else min(most, len(texts))
        self.start: Hashable = ItemsState(frozenset())
        if least > self._most:
            raise Unsatisfiable(f"uniqueItems: there are fewer than {least} different items")

    def step(self, state: object, char: str) -> Hashable | None:
        if not isinstance(state, ItemsState) or state.phase == "closed":
            return None
        if state.phase == "before":
            return state._replace(phase="item") if char == "[" else None
        return self._item_step(state, char) or self._separator_step(state, char)

    def _item_step(self, state: ItemsState, char: str) -> ItemsState | None:
        if char == " " and state.phase == "after comma":
            return state._replace(phase="item")
        if len(state.used) >= self._most:
            return None
        text = state.text + char
        is_beginning = self._begins_one(text, state.used)
        return ItemsState(state.used, text, "item") if is_beginning else None

    def _separator_step(self, state: ItemsState, char: str) -> ItemsState | None:
        used = state.used
        if state.text:
            if state.text not in self._known or state.text in used:
                return None
            used = used | {state.text}
        if char == "]" and len(used) >= self._least:
            is_empty_array = not used
            return ItemsState(used, "", "closed") if state.text or is_empty_array else None
        if char == "," and state.text and len(used) < self._most:
            return ItemsState(used, "", "after comma")
        return None

    def is_end(self, state: object) -> bool:
        return isinstance(state, ItemsState) and state.phase == "closed"

    def goes_on(self, state: object) -> bool:
        return not self.is_end(state)

    def next_chars(self, state: object) -> list[CharSet] | None:
        if not isinstance(state, ItemsState) or state.phase in ("before", "closed"):
            return [BRACKETS]
        return [SEPARATORS, chars_of("".join(self._following(state.text)))]

    def _following(self, text: str) -> list[str]:
        """The characters that come after this text in any of the items."""
        found = []
        place = bisect_left(self._texts, text)
        while place < len(self._texts) and self._texts[place].startswith(text):
            longer = self._texts[place][: len(text) + 1]
            found.append(longer[len(text) :])
            place = bisect_left(self._texts, longer + chr(LAST_CODE), place + 1)
        return found

    def _begins_one(self, text: str, used: frozenset[str]) -> bool:
        """Whether an item that has not been used begins so."""
        place = bisect_left(self._texts, text)
        while place < len(self._texts) and self._texts[place].startswith(text):
            if self._texts[place] not in used:
                return True
            place += 1
        return False

    def cost(self, state: object, following: object) -> int:
        used = len(state.used) if isinstance(state, ItemsState) else 0
        return 5 + used
