"""Arrays of distinct items that are listed."""

from collections.abc import Hashable
from typing import NamedTuple

from _shared.grammars.nodes import (
    Unsatisfiable,
)


class ItemsState(NamedTuple):
    """Inside an array of distinct values: those that are written, and the text of the next."""

    used: frozenset[str]
    text: str = ""
    phase: str = "before"


class DistinctItems:
    """An array whose items are different ones of a list of JSON texts."""

    def __init__(self, texts: list[str], *, least: int, most: int | None) -> None:
        """Raises: GrammarError if there are too few of them."""
        self._texts = texts
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
        is_beginning = any(each.startswith(text) for each in self._texts if each not in state.used)
        return ItemsState(state.used, text, "item") if is_beginning else None

    def _separator_step(self, state: ItemsState, char: str) -> ItemsState | None:
        used = state.used
        if state.text:
            if state.text not in self._texts or state.text in used:
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
