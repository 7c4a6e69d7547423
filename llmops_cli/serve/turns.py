"""Things that wait, one of each key in turn: who has many of them waits for itself."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """First come, first served within a key."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Item]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def put(self, key: str, item: Item) -> None:
        self._lines.setdefault(key, deque()).append(item)

    def put_back(self, key: str, item: Item) -> None:
        """The next of its key."""
        self._lines.setdefault(key, deque()).appendleft(item)

    def next(self) -> Item | None:
        """Takes the first of the key whose turn it is."""
        if not self._lines:
            return None
        key, line = next(iter(self._lines.items()))
        item = line.popleft()
        if line:
            self._lines.move_to_end(key)
        else:
            del self._lines[key]
        return item

    def first_of(self, is_wanted: Callable[[Item], bool]) -> Item | None:
        """Takes the first that is wanted, of the keys in turn."""
        for key, line in self._lines.items():
            for item in line:
                if is_wanted(item):
                    self._take(key, line, item)
                    return item
        return None

    def _take(self, key: str, line: deque[Item], item: Item) -> None:
        line.remove(item)
        if line:
            self._lines.move_to_end(key)
        else:
            del self._lines[key]

    def any(self, is_wanted: Callable[[Item], bool]) -> bool:
        return any(is_wanted(item) for line in self._lines.values() for item in line)

    def last(self, key: str) -> Item:
        """Takes the last that came. Raises: KeyError."""
        line = self._lines[key]
        item = line.pop()
        if not line:
            del self._lines[key]
        return item

    def remove(self, key: str, item: Item) -> bool:
        """Whether it was there."""
        line = self._lines.get(key)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[key]
        return True

    def count(self, key: str) -> int:
        return len(self._lines.get(key, ()))

    def counts(self) -> dict[str, int]:
        return {key: len(line) for key, line in self._lines.items()}

    def before(self, key: str) -> int:
        """How many come before one more of this key."""
        own = self.count(key)
        others = (len(line) for other, line in self._lines.items() if other != key)
        return own + sum(min(length, own + 1) for length in others)
