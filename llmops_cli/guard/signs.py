"""Signs of carriers, each looked for where the text has the least of what it is made of."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.guard.automata import PatternSet

DIGITS = tuple("0123456789")


class Least(msgspec.Struct, frozen=True, kw_only=True):
    """`run`: characters without white space. `count`: of the marks, together.

    `ascii_only`: whether ASCII can say it.
    """

    run: int = 0
    marks: tuple[str, ...] = ()
    count: int = 0
    ascii_only: bool = True


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern that gives a carrier away, by name."""

    name: str
    pattern: str
    least: Least


class SignSet:
    """Signs looked for one by one, each where the text has the least of what it needs."""

    def __init__(self, signs: Sequence[Sign]) -> None:
        self._signs = [(sign, PatternSet([sign.pattern], together=1)) for sign in signs]

    def of(self, text: str) -> list[str]:
        """Names of those in the text, in order."""
        looks = _Looks(text)
        raw = text.encode()
        return [
            sign.name for sign, found in self._signs if looks.has(sign.least) and found.match(raw)
        ]


class _Looks:
    """What is counted in a text, each once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_ascii = text.isascii()
        self._longest = max(map(len, text.split()), default=0)
        self._counts: dict[tuple[str, ...], int] = {}

    def has(self, least: Least) -> bool:
        if self._longest < least.run or (self._is_ascii and not least.ascii_only):
            return False
        if not least.count:
            return True
        if least.marks not in self._counts:
            self._counts[least.marks] = sum(map(self._text.count, least.marks))
        return self._counts[least.marks] >= least.count
