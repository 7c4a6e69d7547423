"""Words that a text must have for a pattern to hold: most patterns need not be looked for at all.

A pattern over words is `IGNORE`, up to five words, `PREVIOUS`, up to two, `RULES`: a text without
a word of each kind cannot hold it. Source: RE2's prefilter (Cox, "Regular Expression Matching
with a Trigram Index"), with whole words in place of trigrams.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce

import msgspec

from llmops_cli.guard.pattern_forms import Gap, Line, lines_of
from llmops_cli.guard.skeleton import words_of
from llmops_cli.guard.unusual_words import SEEN_CHARS, SEEN_MOST

START_SIZES = (2, 3, 4)
"""Characters of a word whose end is open: as many as are known, up to the last of these."""
KINDS = 3
"""Kinds of words that are asked for, the rarest of a pattern."""
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
        self.others = [number for number, each in enumerate(patterns) if not each.isascii()]
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
        self._in_pairs = {
            word for first, seconds in self._pairs.items() for word in (first, *seconds)
        }
        self._facts = _WordFacts(self._words, self._starts, self._pairs)

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
        return any(self._facts[word].bits or word in self._in_pairs for word in words)

    def possible(self, skeleton: str) -> frozenset[int]:
        """Numbers of the patterns that it may hold."""
        found = self.in_ascii(skeleton)
        return frozenset(found if skeleton.isascii() else (*found, *self.others))

    def in_ascii(self, skeleton: str) -> list[int]:
        """Those of them that are in ASCII: in order, one perhaps several times."""
        words = words_of(skeleton)
        facts = {word: self._facts[word] for word in self._facts.keys_of(words.different)}
        paired = {word: known.before for word, known in facts.items() if known.before}
        befores = map(paired.get, words.in_order)
        known = [
            before[word]
            for before, word in zip(befores, words.in_order[1:], strict=False)
            if before and word in before
        ]
        known += [each.bits for each in facts.values()]
        have = reduce(operator.or_, known, self._free)
        size = self._lane.bit_length()
        every = have & (have >> size) & (have >> 2 * size) & self._lane
        found = []
        while every:
            lowest = every & -every
            found.append(self._owners[lowest.bit_length() - 1])
            every ^= lowest
        return found


class _Facts(msgspec.Struct, frozen=True):
    """Of a word: its bits, and those that it has before another one."""

    bits: int
    before: Mapping[str, int]


class _WordFacts(dict[str, _Facts]):
    """What is asked of a word and of its beginning, put together once.

    In one place, as most words of a text are in no cache of the processor.
    """

    def __init__(
        self,
        words: dict[str, int],
        starts: dict[str, int],
        pairs: dict[str, dict[str, int]],
    ) -> None:
        super().__init__()
        self._words = words
        self._starts = starts
        self._pairs = pairs
        self._without: set[str] = set()

    def keys_of(self, words: frozenset[str]) -> frozenset[str]:
        """Those of the words that are not known to have none."""
        return words - self._without

    def __missing__(self, word: str) -> _Facts:
        bits = self._words.get(word, 0)
        for size in START_SIZES:
            bits |= self._starts.get(word[:size], 0)
        found = _Facts(bits, self._pairs.get(word, {}))
        if len(word) > SEEN_CHARS:
            return found
        has_some = bits or found.before
        if not has_some and len(self._without) < SEEN_MOST:
            self._without.add(word)
        if has_some and len(self) < SEEN_MOST:
            self[word] = found
        return found


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
