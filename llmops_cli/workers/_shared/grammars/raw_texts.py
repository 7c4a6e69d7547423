"""Texts as they are, up to a mark that ends them."""

from collections.abc import Hashable
from typing import NamedTuple

from _shared.grammars.nodes import CharSet


class RawState(NamedTuple):
    """How much of the mark that ends it stands at the text's end, and its length so far."""

    matched: int
    length: int


class RawText:
    """A text as it is, without the mark that ends it."""

    def __init__(self, mark: str, *, least: int, most: int | None) -> None:
        self._mark = mark
        self._least = least
        self._most = most
        self.start: Hashable = RawState(0, 0)

    def step(self, state: object, char: str) -> Hashable | None:
        if not isinstance(state, RawState):
            return None
        end = self._mark[: state.matched] + char
        while not self._mark.startswith(end):
            end = end[1:]
        is_over = self._most is not None and state.length >= self._most
        if end == self._mark or is_over:
            return None
        is_counted = self._most is not None or state.length < self._least
        return RawState(len(end), state.length + is_counted)

    def is_end(self, state: object) -> bool:
        return isinstance(state, RawState) and state.length >= self._least

    def goes_on(self, state: object) -> bool:
        return True

    def next_chars(self, state: object) -> list[CharSet] | None:
        return None

    def cost(self, state: object, following: object) -> int:
        return 4
