"""A sentence's words as claims are compared by: stems, numbers, names, negations.

The word lists are data: data/claims.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "claims.yaml"
STEM_CHARS = 5
NEAR_WORDS = 6
"""So near a number is the word that it counts."""
SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:'[a-z]+)?")
PRONOUN = re.compile(r"(?:it|they|he|she|this|these)\b", re.IGNORECASE)
NAME = re.compile(r"(?<!^)\b[A-Z][a-z]+|^[A-Z][a-z]+(?= [A-Z])")
"""Not a sentence's first word, unless another name follows it."""


class SentenceWords(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence, taken apart. `counted`: each number with a word beside it."""

    text: str
    stems: frozenset[str]
    numbers: frozenset[str]
    counted: frozenset[tuple[str, str]]
    names: frozenset[str]
    negations: int


class _Lists(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of word lists."""

    negations: list[str]
    exclusive: list[str]
    opposite: list[str]
    small: list[str]
    numbers: str
    tens: str


@lru_cache(maxsize=4)
def document_words(document: str) -> tuple[SentenceWords, ...]:
    """Its sentences, taken apart once for all claims."""
    return tuple(_with_subjects(sentences_of(document)))


def sentences_of(text: str) -> list[str]:
    """Cut behind full stops, semicolons and line ends."""
    parts = [part.strip() for part in SENTENCE.split(text)]
    return [part for part in parts if part]


def _with_subjects(sentences: Sequence[str]) -> Iterator[SentenceWords]:
    """Each taken apart; one that begins with a pronoun has the first word of what came before."""
    subject = frozenset[str]()
    for sentence in sentences:
        words = words_of(sentence)
        if PRONOUN.match(sentence):
            words = msgspec.structs.replace(words, stems=words.stems | subject)
        else:
            content = [token for token in _tokens(sentence) if _is_content(token)]
            subject = frozenset(stem_of(token) for token in content[:1])
        yield words


def _tokens(sentence: str) -> list[str]:
    return [token.lower() for token in TOKEN.findall(sentence)]


def words_of(sentence: str) -> SentenceWords:
    """The sentence, taken apart."""
    plain = sentence.replace("\u2019", "'")
    lower = _tokens(plain)
    numbers = {_number(token) for token in lower}
    stems = {stem_of(token) for token in lower if token not in _small() and not token[0].isdigit()}
    names = {stem_of(name.lower()) for name in NAME.findall(plain)}
    negations = sum(token in _negations() or token.endswith("n't") for token in lower)
    return SentenceWords(
        text=sentence,
        stems=frozenset(stems - _number_words()),
        numbers=frozenset(numbers - {""}),
        counted=frozenset(_counted(lower)),
        names=frozenset(names) - contested(),
        negations=negations,
    )


def _counted(tokens: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each number with the nearest word of content before and behind it."""
    for place, token in enumerate(tokens):
        number = _number(token)
        if number:
            before = tokens[max(0, place - NEAR_WORDS) : place]
            behind = tokens[place + 1 : place + 1 + NEAR_WORDS]
            for near in (before[::-1], behind):
                words = [word for word in near if _is_content(word)]
                if words:
                    yield number, stem_of(words[0])


def _is_content(token: str) -> bool:
    return token not in _small() and not _number(token)


def _number(token: str) -> str:
    if token[0].isdigit():
        return token.replace(",", "")
    lists = _lists()
    words = lists.numbers.split()
    if token in words and token != "one":
        return str(words.index(token))
    tens = lists.tens.split()
    if token in tens:
        return str(10 * (tens.index(token) + 2))
    return ""


def stem_of(word: str) -> str:
    """The word's beginning, without a plural's or a third person's s."""
    base = word.removesuffix("'s").removesuffix("n't")
    if len(base) > 3:
        base = base.removesuffix("s").removesuffix("ed").removesuffix("ing").removesuffix("e")
    return base[:STEM_CHARS]


@cache
def _lists() -> _Lists:
    raw = load_yaml(DATA.read_bytes())
    return msgspec.convert(raw, _Lists)


@cache
def _small() -> frozenset[str]:
    return frozenset(" ".join(_lists().small).split())


@cache
def _negations() -> frozenset[str]:
    return frozenset(_lists().negations)


@cache
def _number_words() -> frozenset[str]:
    lists = _lists()
    return frozenset(stem_of(word) for word in f"{lists.numbers} {lists.tens}".split())


@cache
def exclusive_groups() -> tuple[frozenset[str], ...]:
    return tuple(frozenset(map(stem_of, line.split())) for line in _lists().exclusive)


@cache
def opposite_sides() -> tuple[tuple[list[str], list[str]], ...]:
    pairs = []
    for line in _lists().opposite:
        left, _, right = line.partition("|")
        pairs.append((left.split(), right.split()))
    return tuple(pairs)


@cache
def contested() -> frozenset[str]:
    stems = frozenset[str]().union(*exclusive_groups())
    for left, right in opposite_sides():
        stems |= {stem_of(word) for word in (*left, *right)}
    return stems
