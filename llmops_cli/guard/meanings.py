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
SENTENCE_END = re.compile(r"[.!?;:]+(?=\s|\Z)|[\n。！？；：]+")  # noqa: RUF001
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
        return Rule(id=self.id, family=self.family, weight=self.weight, any=())


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
        self._each = {name: _rule_set(file, {name}) for name in file.meanings}
        self._combinations = [(each, each.rule) for each in file.combinations]
        self._cancelled_by: dict[str, list[str]] = {}
        for name, cancelled in file.cancels.items():
            for each in cancelled:
                self._cancelled_by.setdefault(each, []).append(name)
        self._reach = reach
        self._is_said = lru_cache(REMEMBERED)(self._look)

    def held(
        self,
        words: str,
        sentences: Callable[[], Iterable[str]],
    ) -> list[Rule]:
        """A rule for each combination that holds somewhere. `words`: of all sentences."""
        begun = self._begins.matches(words)
        if not begun:
            return []
        every = list(sentences())
        found: dict[str, Rule] = {}
        for place in self._places(words, begun, every):
            for rule in self._held_at(every, place):
                found[f"{rule.id} {rule.weight}"] = rule
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
    ) -> Iterator[Rule]:
        here = sentences[place]
        around = sentences[max(place - self._reach, 0) : place + self._reach + 1]
        for combination, rule in self._combinations:
            if (
                all(self._is_meant(name, here) for name in combination.all)
                and all(self._is_near(name, here, around) for name in combination.near)
                and not any(self._is_meant(name, here) for name in combination.unless)
            ):
                yield rule

    def _is_near(self, name: str, here: str, around: Sequence[str]) -> bool:
        return self._is_meant(name, here) or any(self._is_meant(name, each) for each in around)

    def _is_meant(self, name: str, sentence: str) -> bool:
        """Whether the sentence says so, and nothing that turns it into its contrary."""
        if not self._is_said(name, sentence):
            return False
        return not any(
            self._is_said(contrary, sentence) for contrary in self._cancelled_by.get(name, ())
        )

    def _look(self, name: str, sentence: str) -> bool:
        return bool(self._each[name].matches(sentence))


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
