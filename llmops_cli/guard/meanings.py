"""What a text's sentences speak of, and which of that together is an attack.

A phrase is one wording; who writes anew uses another. What stays is what has to be said: whose
instructions are meant, and that they count for nothing. The words for each are in
data/meanings.yaml, and their order does not matter.
"""

from __future__ import annotations

import bisect
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from llmops_cli.guard.rules import Rule, RuleSet
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "meanings.yaml"
SENTENCE_END = re.compile(
    r"[.!?;:\n。！？；：]"  # first, so that other places are passed over quickly  # noqa: RUF001
    r"(?:(?<=[\n。！？；：])[\n。！？；：]*"  # noqa: RUF001
    r"|(?<=[.!?;:])(?<![.!?;:]{2})(?!(?<=:)\s\w+\s?(?:[.!?;,\n]|\Z))[.!?;:]*+(?=\s|\Z))"
)
"""No end is what stands before one word that ends a sentence: `Safety layer: off.`"""
SENTENCE_CHARS = 400
"""What goes on for longer is no sentence, and is read in parts."""
BY_PLACE = operator.attrgetter("place")
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


class _Choice(msgspec.Struct, frozen=True):
    """A combination, with its rule, all that has to be said for it and its place in the file."""

    combination: Combination
    rule: Rule
    parts: frozenset[str]
    place: int


class _MeaningsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    macros: dict[str, str]
    meanings: dict[str, tuple[str, ...]]
    combinations: list[Combination]
    cancels: dict[str, frozenset[str]] = {}


class Meanings:
    """A file of them, compiled. `reach`: how many sentences before and after are near.

    What a combination needs is looked for in all of the text, which has most of it nowhere.
    """

    def __init__(self, path: Path, *, reach: int) -> None:
        file = msgspec.convert(load_yaml(path.read_bytes()), _MeaningsFile)
        self._each = _rule_set(file)
        self._by_begin: dict[str, list[_Choice]] = {}
        for place, each in enumerate(file.combinations):
            choice = _Choice(each, each.rule, each.near.union(each.all), place)
            self._by_begin.setdefault(each.all[0], []).append(choice)
        self._cancels = file.cancels
        self._reach = reach
        self._meant_in = lru_cache(REMEMBERED)(self._look)

    @property
    def patterns(self) -> Sequence[str]:
        """Of all meanings, by number."""
        return self._each.patterns

    def held(
        self,
        words: str,
        sentences: Callable[[], Iterable[str]],
        possible_patterns: AbstractSet[int] | None = None,
    ) -> list[Rule]:
        """The weightiest combination of each id that holds somewhere. `words`: of all sentences.

        `possible_patterns`: those that these have the words for, where that is known.
        """
        numbers = possible_patterns
        if numbers is None:
            numbers = self._each.possible(words)
        possible = self._possible(self._each.owners_of(numbers))
        if not possible:
            return []
        begun = self._begun(words, numbers, possible)
        said = {rule.id for rule in begun}
        possible = [each for each in possible if each.combination.all[0] in said]
        said |= self._said(words, numbers, _names_in(possible) - said)
        possible = _complete(possible, said)
        if not possible:
            return []
        begins = {each.combination.all[0] for each in possible}
        begun = {rule: patterns for rule, patterns in begun.items() if rule.id in begins}
        every = list(sentences())
        found: dict[str, Rule] = {}
        for place in self._places(words, begun, every):
            for rule in self._held_at(every, place, possible):
                known = found.get(rule.id)
                if known is None or known.weight < rule.weight:
                    found[rule.id] = rule
        return list(found.values())

    def _possible(self, names: AbstractSet[str]) -> list[_Choice]:
        """Those of which the text has the words for all meanings, in the file's order."""
        found = [
            choice
            for name in self._by_begin.keys() & names
            for choice in self._by_begin[name]
            if choice.parts <= names
        ]
        found.sort(key=BY_PLACE)
        return found

    def _begun(
        self,
        words: str,
        numbers: AbstractSet[int],
        possible: Sequence[_Choice],
    ) -> dict[Rule, list[int]]:
        """What combinations begin with, where the text has it."""
        begins = {each.combination.all[0] for each in possible}
        return self._each.matches_of(words, self._each.of_rules(numbers, begins))

    def _said(
        self,
        words: str,
        numbers: AbstractSet[int],
        names: AbstractSet[str],
    ) -> set[str]:
        """Those of the meanings that the text has."""
        return self._each.ids_held(words, self._each.of_rules(numbers, names))

    def _places(
        self,
        words: str,
        begun: dict[Rule, list[int]],
        sentences: Sequence[str],
    ) -> list[int]:
        """Numbers of the sentences that something stands in.

        What is found over the end of one may as well stand in the next by itself.
        """
        ends = list(itertools.accumulate(len(sentence) - 1 for sentence in sentences))
        if not ends or ends[-1] != len(words) - 1:
            return list(range(len(sentences)))
        spans = {
            span
            for patterns in begun.values()
            for pattern in patterns
            for span in self._each.spans(pattern, words)
        }
        places: set[int] = set()
        for start, end in spans:
            first = bisect.bisect_right(ends, start)
            places.update(range(first, bisect.bisect_left(ends, end - 1) + 1))
        return sorted(places)

    def _held_at(
        self,
        sentences: Sequence[str],
        place: int,
        possible: Sequence[_Choice],
    ) -> Iterator[Rule]:
        here = self._meant_in(sentences[place])
        around: set[str] | None = None
        for choice in possible:
            combination = choice.combination
            if not here.issuperset(combination.all) or not here.isdisjoint(combination.unless):
                continue
            if around is None:
                around = self._meant_around(sentences, place)
            if around.issuperset(combination.near):
                yield choice.rule

    def _meant_around(self, sentences: Sequence[str], place: int) -> set[str]:
        near = sentences[max(place - self._reach, 0) : place + self._reach + 1]
        return set().union(*map(self._meant_in, near))

    def _look(self, sentence: str) -> frozenset[str]:
        """What the sentence says, but for what it turns into its contrary."""
        said = frozenset(self._each.ids_held(sentence, self._each.possible(sentence)))
        cancelled = (self._cancels.get(name, frozenset()) for name in said)
        return said.difference(*cancelled)


def _complete(possible: Sequence[_Choice], said: AbstractSet[str]) -> list[_Choice]:
    """Those of which all meanings are said somewhere."""
    return [each for each in possible if each.parts <= said]


def _names_in(possible: Sequence[_Choice]) -> set[str]:
    return {name for each in possible for name in each.parts}


def _rule_set(file: _MeaningsFile) -> RuleSet:
    rules = [
        Rule(id=name, family="", weight=0.0, any=file.meanings[name])
        for name in sorted(file.meanings)
    ]
    return RuleSet(rules, file.macros)


@cache
def builtin_meanings() -> Meanings:
    """Those of data/meanings.yaml."""
    return Meanings(DATA, reach=3)


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
