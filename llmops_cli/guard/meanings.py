"""What a text's sentences speak of, and which of that together is an attack.

A phrase is one wording; who writes anew uses another. What stays is what has to be said: whose
instructions are meant, and that they count for nothing. The words for each are in
data/meanings.yaml, and their order does not matter.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from llmops_cli.guard.rules import Rule, RuleSet
from llmops_cli.guard.skeleton import skeleton
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "meanings.yaml"
SENTENCE_END = re.compile(r"(?<![.!?;:])[.!?;:]++(?=\s|\Z)|[\n。！？；：]+")  # noqa: RUF001
SENTENCE_CHARS = 400
"""What goes on for longer is no sentence, and is read in parts."""
REMEMBERED = 8_192
"""Sentences, each with a meaning; pieces of a text overlap."""


class Combination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of meanings: `all` in one sentence, `near` in it or a neighbour, and none of `unless`."""

    id: str
    family: str
    weight: float
    all: tuple[str, ...]
    near: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()

    @property
    def rule(self) -> Rule:
        return Rule(id=self.id, family=self.family, weight=self.weight, any=(), says_again=True)


class _MeaningsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    macros: dict[str, str]
    meanings: dict[str, tuple[str, ...]]
    combinations: list[Combination]
    cancels: dict[str, frozenset[str]] = {}


class Meanings:
    """A file of them, compiled. `reach`: how many sentences before and after are near.

    What combinations begin with is looked for in all of the text, the rest beside it.
    """

    def __init__(self, path: Path, *, reach: int) -> None:
        file = msgspec.convert(load_yaml(path.read_bytes()), _MeaningsFile)
        begins = {each.all[0] for each in file.combinations}
        self._begins = _rule_set(file, begins)
        self._each = _rule_set(file, file.meanings.keys())
        self._combinations = [(each, each.rule) for each in file.combinations]
        self._cancels = file.cancels
        self._reach = reach
        self._meant_in = lru_cache(REMEMBERED)(self._look)

    def held(
        self,
        words: str,
        sentences: Callable[[], Iterable[str]],
    ) -> list[Rule]:
        """The weightiest combination of each id that holds somewhere. `words`: of all sentences."""
        begun = self._begins.matches(words)
        if not begun:
            return []
        said = {rule.id for rule in self._each.matches(words)}
        possible = [
            (combination, rule)
            for combination, rule in self._combinations
            if said.issuperset(combination.all) and said.issuperset(combination.near)
        ]
        if not possible:
            return []
        every = list(sentences())
        found: dict[str, Rule] = {}
        for place in self._places(words, begun, every):
            for rule in self._held_at(every, place, possible):
                known = found.get(rule.id)
                if known is None or known.weight < rule.weight:
                    found[rule.id] = rule
        return list(found.values())

    def _places(
        self,
        words: str,
        begun: dict[Rule, list[int]],
        sentences: Sequence[str],
    ) -> list[int]:
        """Numbers of the sentences that something begins in, by where it stands in the words."""
        ends = list(itertools.accumulate(len(sentence) - 1 for sentence in sentences))
        if not ends or ends[-1] != len(words) - 1:
            return list(range(len(sentences)))
        starts = {
            start
            for patterns in begun.values()
            for pattern in patterns
            for start, _ in self._begins.spans(pattern, words)
        }
        return sorted({bisect.bisect_right(ends, start) for start in starts})

    def _held_at(
        self,
        sentences: Sequence[str],
        place: int,
        possible: Sequence[tuple[Combination, Rule]],
    ) -> Iterator[Rule]:
        here = self._meant_in(sentences[place])
        around: set[str] | None = None
        for combination, rule in possible:
            if not here.issuperset(combination.all) or not here.isdisjoint(combination.unless):
                continue
            if around is None:
                around = self._meant_around(sentences, place)
            if around.issuperset(combination.near):
                yield rule

    def _meant_around(self, sentences: Sequence[str], place: int) -> set[str]:
        near = sentences[max(place - self._reach, 0) : place + self._reach + 1]
        return set().union(*map(self._meant_in, near))

    def _look(self, sentence: str) -> frozenset[str]:
        """What the sentence says, but for what it turns into its contrary."""
        said = frozenset(rule.id for rule in self._each.matches(sentence))
        cancelled = (self._cancels.get(name, frozenset()) for name in said)
        return said.difference(*cancelled)


def _rule_set(file: _MeaningsFile, names: AbstractSet[str]) -> RuleSet:
    rules = [
        Rule(id=name, family="", weight=0.0, any=file.meanings[name]) for name in sorted(names)
    ]
    return RuleSet(rules, file.macros)


@cache
def _meanings() -> Meanings:
    return Meanings(DATA, reach=3)


def meanings_held(text: str, words: str) -> list[Rule]:
    """`words`: the text's skeleton."""
    return _meanings().held(words, lambda: map(skeleton, sentences_of(text)))


def sentences_of(text: str) -> Iterator[str]:
    """In parts, where they go on for long."""
    start = 0
    for found in SENTENCE_END.finditer(text):
        yield from _parts(text[start : found.start()])
        start = found.end()
    yield from _parts(text[start:])


def _parts(sentence: str) -> Iterator[str]:
    for start in range(0, len(sentence), SENTENCE_CHARS):
        part = sentence[start : start + SENTENCE_CHARS]
        if not part.isspace():
            yield part
