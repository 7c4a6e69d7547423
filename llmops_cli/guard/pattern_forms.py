"""A rule's pattern taken apart: in which orders which strings follow, and where anything may stand.

Reads what patterns over words are written with (groups, alternatives, counts, sets of characters);
what it does not take apart it calls a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

STRINGS_MOST = 256
"""Of one place in a pattern; more are left apart."""
LINES_MOST = 64
"""Of a pattern; an alternative that would make more is a gap."""
CLASS_MOST = 8
"""Characters of a set that are taken one by one."""
TOKEN = re.compile(
    r"[\w ]+(?![?*+{])|\(\?:|\((?!\?)|[|)]|\[\^?[^\]]+\]"
    r"|\{\d+(?:,\d*)?\}\??|[?*+]\??|\$|\\.|[^\\]",
    re.DOTALL,
)
COUNTS = {"?": (0, 1), "*": (0, None), "+": (1, None)}
CLASSES = "dDwWsSbB"


class Gap(msgspec.Struct, frozen=True):
    """Anything. `ends_word`: a space ends it. `may_miss`: it may be nothing."""

    ends_word: bool = False
    may_miss: bool = True


Strings = frozenset[str]
Line = tuple[Gap | Strings, ...]
"""What follows on one another; one of the strings in each place."""
Count = tuple[int, int | None]
NOTHING: Strings = frozenset(("",))


def lines_of(pattern: str) -> list[Line]:
    """All that the pattern holds for is one of these. `$` is a space: skeletons end with one."""
    return _Reader(TOKEN.findall(pattern)).alternatives()


class _Reader:
    """Reads tokens, one after the other."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def alternatives(self) -> list[Line]:
        branches = [self._sequence()]
        while self._next() == "|":
            self._at += 1
            branches.append(self._sequence())
        return _either(branches)

    def _sequence(self) -> list[Line]:
        lines: list[Line] = [(NOTHING,)]
        while self._next() not in ("", "|", ")"):
            item = self._item()
            while (count := _count_of(self._next())) is not None:
                self._at += 1
                item = _times(item, count)
            lines = _then(lines, item)
        return lines

    def _item(self) -> list[Line]:
        token = self._tokens[self._at]
        self._at += 1
        if token in ("(?:", "("):
            inner = self.alternatives()
            self._at += 1
            return inner
        return [(_one(token),)]

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""


def _one(token: str) -> Gap | Strings:
    """Plain characters, one of a set, or anything."""
    if token == "$":
        return frozenset((" ",))
    if token.startswith("\\"):
        return Gap(may_miss=False) if token[1] in CLASSES else frozenset(token[1])
    if token.startswith("[") and len(token) > 1:
        inner = token[1:-1]
        is_plain = inner.isalpha() and len(inner) <= CLASS_MOST
        return frozenset(inner) if is_plain else Gap(may_miss=False)
    return Gap(may_miss=False) if token == "." else frozenset((token,))


def _count_of(token: str) -> Count | None:
    found = COUNTS.get(token[:1])
    if found is not None:
        return found
    if not token.startswith("{") or len(token) == 1:
        return None
    least, comma, most = token.strip("{}?").partition(",")
    if not comma:
        return int(least), int(least)
    return int(least), int(most) if most else None


def _times(lines: list[Line], count: Count) -> list[Line]:
    strings = _strings_of(lines)
    if strings is not None and count == (0, 1):
        return [(strings | NOTHING,)]
    return [(Gap(ends_word=_end_words(lines), may_miss=count[0] == 0 or _may_miss(lines)),)]


def _either(branches: Sequence[list[Line]]) -> list[Line]:
    sets = [_strings_of(lines) for lines in branches]
    together = frozenset(string for strings in sets if strings is not None for string in strings)
    lines: list[Line] = []
    if together:
        lines.append((together,))
    for branch, strings in zip(branches, sets, strict=True):
        if strings is None:
            lines += branch
    return lines


def _then(lines: list[Line], following: list[Line]) -> list[Line]:
    if len(lines) * len(following) > LINES_MOST:
        gap = Gap(ends_word=_end_words(following), may_miss=_may_miss(following))
        following = [(gap,)]
    return [_joined(line, after) for line in lines for after in following]


def _joined(line: Line, after: Line) -> Line:
    """The strings where they meet put together, if they are few."""
    last = line[-1]
    first = after[0]
    if isinstance(last, Gap) or isinstance(first, Gap):
        return line + after
    if len(last) * len(first) > STRINGS_MOST:
        return line + after
    meeting = frozenset(one + other for one in last for other in first)
    return (*line[:-1], meeting, *after[1:])


def _strings_of(lines: list[Line]) -> Strings | None:
    """All that it may say, if that is known."""
    if len(lines) != 1 or len(lines[0]) != 1:
        return None
    only = lines[0][0]
    return None if isinstance(only, Gap) else only


def _end_words(lines: Iterable[Line]) -> bool:
    return all(_ends_word(line[-1]) for line in lines)


def _ends_word(item: Gap | Strings) -> bool:
    if isinstance(item, Gap):
        return item.ends_word and not item.may_miss
    return all(part.endswith(" ") for part in item)


def _may_miss(lines: Iterable[Line]) -> bool:
    return any(all(_is_missable(item) for item in line) for line in lines)


def _is_missable(item: Gap | Strings) -> bool:
    return item.may_miss if isinstance(item, Gap) else "" in item
