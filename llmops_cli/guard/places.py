"""Where evidence stands: from words back to characters, from normal text back to what came."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import lru_cache

from llmops_cli.guard.evidence import Span
from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.rules import builtin

WORD = re.compile(r"[^\W_](?:['`\u2018\u2019]|[^\W_])*")
STEP_CHARS = 512
"""A place in a text whose characters were changed is told to about so many."""


def place_of(
    text: str,
    words: str,
    patterns: list[int],
) -> Span:
    """Where in the text a rule's patterns stand first."""
    return next(places_of(text, words, patterns), (0, len(text)))


def places_of(
    text: str,
    words: str,
    patterns: list[int],
) -> Iterator[Span]:
    """Where in the text the patterns stand; nowhere if its words are not those of the skeleton."""
    places = _word_places(text)
    count = words.count(" ") - 1
    if not text.isascii() and not places.are(count):
        return
    for pattern in patterns:
        for start, end in builtin().rules.spans(pattern, words):
            first = max(words.count(" ", 0, start + 1), 1)
            last = min(max(words.count(" ", 0, end - 1), 1), count)
            yield places[first - 1][0], places[last - 1][1]


class _WordPlaces:
    """Of a text's words, found as far as somebody asks."""

    def __init__(self, text: str) -> None:
        self._left = (match.span() for match in WORD.finditer(text))
        self._found: list[Span] = []

    def are(self, count: int) -> bool:
        """Whether there are so many, in characters that are words in one way only."""
        self._found += self._left
        return len(self._found) == count

    def __getitem__(self, number: int) -> Span:
        missing = number + 1 - len(self._found)
        if missing > 0:
            self._found += itertools.islice(self._left, missing)
        return self._found[number]


_word_places = lru_cache(maxsize=2)(_WordPlaces)
"""Of a piece, whose rules are asked one after the other."""


class Origin:
    """Tells places of the text as it came from those of its normal form."""

    def __init__(self, text: str, normal: str) -> None:
        self._size = len(text)
        self._is_same = text == normal
        self._marks: list[Span] = [(0, 0)]
        if not self._is_same:
            self._marks += _marks(text)

    def span(self, span: Span) -> Span:
        """The least part of the text as it came that surely holds it."""
        if self._is_same:
            return span
        start = max(came for came, normal in self._marks if normal <= span[0])
        ends = [came for came, normal in self._marks if normal >= span[1]]
        return start, min(ends, default=self._size)


def _marks(text: str) -> list[Span]:
    """(place as it came, place in the normal form), one at every few words."""
    marks = []
    came = 0
    normal = 0
    while came < len(text):
        end = _space_after(text, came + STEP_CHARS)
        normal += len(normalise(text[came:end]).text)
        came = end
        marks.append((came, normal))
    return marks


def _space_after(text: str, at: int) -> int:
    """Characters change with their neighbours, but not over a space."""
    space = text.find(" ", at)
    return len(text) if space < 0 else space
