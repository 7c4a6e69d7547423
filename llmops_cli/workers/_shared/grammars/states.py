"""What is possible after a text, and what has been learned of it for the next time."""

from collections.abc import Hashable
from typing import NamedTuple, Protocol

from _shared.grammars.nodes import MOST_CHARS_TO_LIST, CharSet


class Frame:
    """Where to go on when a rule or a turn of a loop ends. Equal frames are one object."""

    __slots__ = ("count", "depth", "parent", "place")

    def __init__(self, place: int, count: int, parent: "Frame | None") -> None:
        self.place = place
        self.count = count
        self.parent = parent
        self.depth: int = 1 if parent is None else parent.depth + 1


Thread = tuple[int, Frame | None, Hashable]
"""An instruction that waits for a character, what follows it, and an automaton's state."""


class Stepping(Protocol):
    """The machine of a state."""

    def step(self, state: "State", char: str) -> "State | None": ...

    def index_of(self, threads: tuple[Thread, ...]) -> "Index": ...

    def some_of(self, thread: Thread, first: int, last: int) -> list[str]: ...


class State:
    """All that is possible after one text. `accepts`: the text may end here."""

    __slots__ = ("_index", "_machine", "_next", "accepts", "threads", "tokens")

    def __init__(self, machine: Stepping, threads: tuple[Thread, ...], *, accepts: bool) -> None:
        self._machine = machine
        self._next: dict[str, State | None] = {}
        self._index: Index | None = None
        self.threads = threads
        self.accepts = accepts
        # object: what tokens may follow, which only tokens.py knows how to write.
        self.tokens: object = None

    @property
    def is_final(self) -> bool:
        """The text is whole and nothing can follow."""
        return not self.threads

    def step(self, char: str) -> "State | None":
        """Raises: GrammarError if there is too much that is possible."""
        try:
            return self._next[char]
        except KeyError:
            following = self._machine.step(self, char)
            self._next[char] = following
            return following

    def forget(self) -> None:
        self._next = {}

    @property
    def index(self) -> "Index":
        """Made at the first step, so that one of many alternatives costs no look at the others."""
        if self._index is None:
            self._index = self._machine.index_of(self.threads)
        return self._index

    def first_chars(self) -> str | None:
        """Every character that may come next, if they are few."""
        if self.index.others:
            return None
        return "".join(sorted(self.index.by_char))

    def meets(self, first: int, last: int) -> bool:
        """Whether some character with a code from `first` to `last` may come next."""
        tried = [char for char in self.index.by_char if first <= ord(char) <= last]
        for thread in self.index.others:
            tried += self._machine.some_of(thread, first, last)
        return any(self.step(char) is not None for char in tried)


class Index(NamedTuple):
    """Threads by the character that they wait for, and those that wait for one of very many."""

    by_char: dict[str, list[Thread]]
    others: list[Thread]


def listed_chars(sets: list[CharSet] | None) -> set[str] | None:
    """All characters of these sets, if they are few."""
    if sets is None:
        return None
    chars: set[str] = set()
    for each in sets:
        listed = each.listed()
        if listed is None or len(chars) > MOST_CHARS_TO_LIST:
            return None
        chars.update(listed)
    return chars
