"""What a text says: the phrases of rules and the meanings of its sentences.

Most texts have the words of hardly any. So both are asked once which they may have at all.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from functools import cache, lru_cache

import msgspec

from llmops_cli.guard.meanings import builtin_meanings, sentences_of
from llmops_cli.guard.needed_words import NeededWords
from llmops_cli.guard.rules import Rule, builtin
from llmops_cli.guard.skeleton import skeleton, words_of

LATELY = 4
WORD_LEAST = 3
"""Of the words that a reading tells something new by: `1` read as `i` does not."""


class _Possible(msgspec.Struct, frozen=True):
    """Numbers of the patterns that a text has the words for."""

    rules: frozenset[int]
    meanings: frozenset[int]


@cache
def _needed() -> NeededWords:
    """Of meanings, of which a text may have more, and behind them of rules."""
    return NeededWords([*builtin_meanings().patterns, *builtin().rules.patterns])


@lru_cache(LATELY)
def _possible(words: str) -> _Possible:
    found = _told_apart(_needed().in_ascii(words))
    if words.isascii():
        return found
    others = _others()
    return _Possible(found.rules | others.rules, found.meanings | others.meanings)


@cache
def _others() -> _Possible:
    """What only texts in other scripts than ASCII's may hold."""
    return _told_apart(_needed().others)


@cache
def _count_of_meanings() -> int:
    return len(builtin_meanings().patterns)


def _told_apart(numbers: Sequence[int]) -> _Possible:
    """The numbers are in order."""
    first = _count_of_meanings()
    count = bisect.bisect_left(numbers, first)
    return _Possible(
        rules=frozenset([number - first for number in numbers[count:]]),
        meanings=frozenset(numbers[:count]),
    )


def rules_held(words: str) -> dict[Rule, list[int]]:
    """Rule -> numbers of its patterns that are in the skeleton."""
    return builtin().rules.matches_of(words, _possible(words).rules)


def meanings_held(text: str, words: str) -> list[Rule]:
    """`words`: the text's skeleton."""
    return builtin_meanings().held(
        words,
        lambda: map(skeleton, sentences_of(text)),
        _possible(words).meanings,
    )


def says_new_words(text: str, before: str) -> bool:
    """Whether a reading has words of rules that the text which is read has not."""
    words = words_of(skeleton(text)).different - words_of(skeleton(before)).different
    return _needed().asks_for_one_of(frozenset(word for word in words if len(word) >= WORD_LEAST))
