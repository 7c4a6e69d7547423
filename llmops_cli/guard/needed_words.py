"""Words that a text must have for a pattern to hold: most patterns need not be looked for at all.

A pattern over words is `IGNORE`, up to five words, `PREVIOUS`, up to two, `RULES`: a text without
a word of each kind cannot hold it. Source: RE2's prefilter (Cox, "Regular Expression Matching
with a Trigram Index"), with whole words in place of trigrams.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import msgspec

from llmops_cli.guard.pattern_forms import Gap, Line, lines_of
from llmops_cli.guard.skeleton import words_of

START_SIZES = (2, 3, 4)
"""Characters of a word whose end is open: as many as are known, up to the last of these."""
KINDS = 3
"""Kinds of words that are asked for, the rarest of a pattern."""
SEEN_MOST = 50_000
SEEN_CHARS = 40
"""Words that are remembered, and how long they may be."""
OPEN = "\x00"
"""Stands for what is not known before a piece of a pattern."""


class _Need(msgspec.Struct, frozen=True):
    """One of these words or pairs of words, or a word that begins so."""

    words: frozenset[str]
    starts: frozenset[str]

    @property
    def commonness(self) -> float:
        """Long words are rare."""
        return sum(2.0 ** -len(each) for each in (*self.words, *self.starts))


class NeededWords:
    """Tells which of many patterns a skeleton may hold, by its words."""

    def __init__(self, patterns: Sequence[str]) -> None:
        plain = [number for number, each in enumerate(patterns) if each.isascii()]
        self._others = frozenset(range(len(patterns))).difference(plain)
        """Patterns in other scripts: no text in ASCII holds them."""
        lines = [(number, line) for number in plain for line in lines_of(patterns[number])]
        self._owners = [number for number, _ in lines]
        self._lane = (1 << len(lines)) - 1
        self._pairs: dict[str, dict[str, int]] = {}
        self._words: dict[str, int] = {}
        self._starts: dict[str, int] = {}
        self._free = 0
        for place, (_, line) in enumerate(lines):
            self._ask(place, sorted(_needs(line), key=_commonness)[:KINDS])
        self._seconds = frozenset(word for pair in self._pairs.values() for word in pair)
        self._bits = _WordBits(self._words, self._starts)

    def _ask(self, place: int, needs: Sequence[_Need]) -> None:
        """A bit for each kind; of fewer kinds the rest are there from the start."""
        size = self._lane.bit_length()
        for kind in range(KINDS):
            bit = 1 << (kind * size + place)
            if kind >= len(needs):
                self._free |= bit
                continue
            for word in needs[kind].words:
                first, _, second = word.partition(" ")
                known = self._pairs.setdefault(first, {}) if second else self._words
                known[second or first] = known.get(second or first, 0) | bit
            for start in needs[kind].starts:
                self._starts[start] = self._starts.get(start, 0) | bit

    def asks_for_one_of(self, words: frozenset[str]) -> bool:
        """Whether some pattern needs one of the words, by itself or in a pair."""
        return any(
            self._bits[word] or word in self._pairs or word in self._seconds for word in words
        )

    def possible(self, skeleton: str) -> set[int]:
        """Numbers of the patterns that it may hold."""
        words = words_of(skeleton).in_order
        different = self._bits.keys_of(words_of(skeleton).different)
        pairs = self._pairs
        known = [
            pairs[word][after]
            for word, after in itertools.pairwise(words)
            if word in pairs and after in pairs[word]
        ]
        known += map(self._bits.__getitem__, different)
        have = reduce(operator.or_, known, self._free)
        size = self._lane.bit_length()
        every = have & (have >> size) & (have >> 2 * size) & self._lane
        found = {self._owners[place] for place in _places(every)}
        return found if skeleton.isascii() else found | self._others


class _WordBits(dict[str, int]):
    """The bits of a word and of its beginning, put together once."""

    def __init__(self, words: dict[str, int], starts: dict[str, int]) -> None:
        super().__init__()
        self._words = words
        self._starts = starts
        self._without: set[str] = set()

    def keys_of(self, words: frozenset[str]) -> frozenset[str]:
        """Those of the words that are not known to have none."""
        return words - self._without

    def __missing__(self, word: str) -> int:
        bits = self._words.get(word, 0)
        for size in START_SIZES:
            bits |= self._starts.get(word[:size], 0)
        if len(word) > SEEN_CHARS:
            return bits
        if not bits and len(self._without) < SEEN_MOST:
            self._without.add(word)
        if bits and len(self) < SEEN_MOST:
            self[word] = bits
        return bits


def _places(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def _commonness(need: _Need) -> float:
    return need.commonness


def _needs(line: Line) -> Iterator[_Need]:
    """One for each part of the line that is known word by word."""
    is_open = True
    for item in line:
        if isinstance(item, Gap):
            is_open = not item.ends_word or (item.may_miss and is_open)
            continue
        before = OPEN if is_open else " "
        need = _need_of(before + part for part in item)
        if need is not None:
            yield need
        is_open = not all(part.endswith(" ") or (not part and not is_open) for part in item)


def _need_of(parts: Iterable[str]) -> _Need | None:
    """None if one of the parts has no word to ask for."""
    words = set()
    starts = set()
    for part in parts:
        _, *whole = part.split(" ")
        end = whole.pop() if whole else ""
        whole = [word for word in whole if word]
        pairs = [" ".join(pair) for pair in itertools.pairwise(whole)]
        rarest = max(pairs or whole, key=len, default="")
        if rarest and len(rarest) + 2 >= len(end):
            words.add(rarest)
        elif len(end) >= START_SIZES[0]:
            starts.add(end[: START_SIZES[-1]])
        else:
            return None
    return _Need(frozenset(words), frozenset(starts))
