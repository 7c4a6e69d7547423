"""Words that something is to be asked of; the others of a text are put aside at one look."""

from __future__ import annotations

from collections.abc import Callable

SEEN_MOST = 50_000
SEEN_CHARS = 40
"""Words that are remembered, and how long they may be."""


class UnusualWords:
    """Those of which one of the questions is true; each word is asked about once."""

    def __init__(self, *questions: Callable[[str], bool]) -> None:
        self._questions = questions
        self._unusual: set[str] = set()
        self._plain: set[str] = set()

    def of(self, words: frozenset[str]) -> frozenset[str]:
        """Those of the words."""
        unknown = words - self._plain
        return frozenset([word for word in unknown if word in self._unusual or self._is_one(word)])

    def _is_one(self, word: str) -> bool:
        found = any(asks(word) for asks in self._questions)
        if len(word) <= SEEN_CHARS:
            known = self._unusual if found else self._plain
            if len(known) < SEEN_MOST:
                known.add(word)
        return found
