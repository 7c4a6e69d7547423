"""Signs of carriers, each looked for where the text has the least of what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

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
        self._groups = [
            (least, numbers, _automaton([signs[number].pattern for number in numbers]))
            for least, numbers in by_least.items()
        ]

    def of(self, text: str) -> list[str]:
        """Names of those in the text, in order."""
        raw = text.encode()
        looks = _Looks(text, raw)
        found = []
        for least, numbers, automaton in self._groups:
            if looks.has(least):
                found += [numbers[index] for index in automaton.match(raw)]
        return [self._names[number] for number in sorted(found)]


def _automaton(patterns: Sequence[str]) -> PatternSet:
    return PatternSet(patterns, together=len(patterns))


class _Looks:
    """What is counted in a text, each once."""

    def __init__(self, text: str, raw: bytes) -> None:
        self._text = text
        self._raw = raw
        self._is_ascii = len(raw) == len(text)
        self._counts: dict[tuple[str, ...], int] = {}

    def has(self, least: Least) -> bool:
        if not least.count:
            return least.ascii_only or not self._is_ascii
        count = self._counts.get(least.marks)
        if count is None:
            count = self._counts[least.marks] = self._count(least.marks)
        return count >= least.count

    def _count(self, marks: tuple[str, ...]) -> int:
        signs = _signs_of(marks)
        if signs is not None:
            return len(self._raw) - len(self._raw.translate(None, signs))
        return sum(map(self._text.count, marks))


@cache
def _signs_of(marks: tuple[str, ...]) -> bytes | None:
    """If each is one sign of ASCII."""
    together = "".join(marks)
    return together.encode() if len(together) == len(marks) and together.isascii() else None
