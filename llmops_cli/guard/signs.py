"""Signs of carriers, each looked for where the text has the least of what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from llmops_cli.guard.automata import PatternSet

DIGITS = tuple("0123456789")


class Least(msgspec.Struct, frozen=True, kw_only=True):
    """`count`: of the marks, together. `ascii_only`: whether ASCII can say it."""

    marks: tuple[str, ...] = ()
    count: int = 0
    ascii_only: bool = True


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern that gives a carrier away, by name."""

    name: str
    pattern: str
    least: Least


class SignSet:
    """Signs that need the same are looked for together, where the text has the least of it."""

    def __init__(self, signs: Sequence[Sign]) -> None:
        self._names = [sign.name for sign in signs]
        by_least: dict[Least, list[int]] = {}
        for number, sign in enumerate(signs):
            by_least.setdefault(sign.least, []).append(number)
        groups = [
            _Group(least, numbers, _automaton([signs[number].pattern for number in numbers]))
            for least, numbers in by_least.items()
        ]
        self._always = [group for group in groups if not group.least.count]
        counted = [group for group in groups if group.least.count]
        self._by_marks = [
            (_Marks(marks), sorted(those, key=_least_count))
            for marks, those in _by_marks(counted).items()
        ]
        self._unmarked = bytes(code for code in range(128) if not self._is_mark(code))

    def _is_mark(self, code: int) -> bool:
        return any(code in marks.bytes for marks, _ in self._by_marks)

    def of(self, text: str) -> list[str]:
        """Names of those in the text, in order."""
        raw = text.encode()
        is_ascii = len(raw) == len(text)
        found = []
        for group in self._always:
            if group.least.ascii_only or not is_ascii:
                found += group.found_in(raw)
        marked = raw.translate(None, self._unmarked)  # a tenth of a text, whose marks are counted
        present = frozenset(marked)
        for marks, groups in self._by_marks:
            where = raw if marks.are_letters else marked
            has_some = marks.are_letters or not marks.bytes.isdisjoint(present)
            if not has_some or len(where) < groups[0].least.count:
                continue
            count = marks.count(where, is_ascii=is_ascii)
            for group in groups:
                if count < group.least.count:
                    break
                found += group.found_in(raw)
        return [self._names[number] for number in sorted(found)]


class _Group(NamedTuple):
    """Numbers of the signs that need the same."""

    least: Least
    numbers: Sequence[int]
    automaton: PatternSet

    def found_in(self, raw: bytes) -> list[int]:
        found = self.automaton.match(raw)
        return [self.numbers[index] for index in found] if found else found


def _by_marks(groups: Sequence[_Group]) -> dict[tuple[str, ...], list[_Group]]:
    found: dict[tuple[str, ...], list[_Group]] = {}
    for group in groups:
        found.setdefault(group.least.marks, []).append(group)
    return found


def _least_count(group: _Group) -> int:
    return group.least.count


def _automaton(patterns: Sequence[str]) -> PatternSet:
    return PatternSet(patterns, together=len(patterns))


class _Marks:
    """Counts marks in a text, or in what is left of it: `bytes` are those that have to be.

    A mark of two signs may be counted there though others stood between; its pattern looks anyway.
    """

    def __init__(self, marks: tuple[str, ...]) -> None:
        self.are_letters = any(mark.isascii() and mark.isalpha() for mark in marks)
        single = [mark.encode() for mark in marks if len(mark) == 1 and mark.isascii()]
        self._longer = [mark.encode() for mark in marks if mark.encode() not in single]
        self._longer_in_ascii = [mark for mark in self._longer if mark.isascii()]
        self._single = b"".join(single)
        kept = [] if self.are_letters else self._longer
        self.bytes = frozenset(b"".join((self._single, *kept)))

    def count(self, raw: bytes, *, is_ascii: bool) -> int:
        """Of all of them together."""
        longer = self._longer_in_ascii if is_ascii else self._longer
        found = sum(map(raw.count, longer)) if longer else 0
        if self._single:
            found += len(raw) - len(raw.translate(None, self._single))
        return found
