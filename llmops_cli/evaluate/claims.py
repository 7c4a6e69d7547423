"""Does a document say what a claim says? Without a model: by words, numbers, names and negation.

It reads a claim beside the document's sentences. What words alone cannot tell (other words for the
same thing, who did what to whom) it takes for not said.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from llmops_cli.evaluate.claim_words import (
    SentenceWords,
    contested,
    document_words,
    exclusive_groups,
    opposite_sides,
    sentences_of,
    stem_of,
    words_of,
)

LEAST_SUPPORTED = 0.6
"""Of a claim's words and numbers, in one sentence."""
LEAST_CONTRADICTED = 0.5
"""Of what a claim is about, in the sentence that says otherwise."""
LEAST_NEGATED = 0.6
"""The same, where only a `not` or a name is between them."""


class ClaimVerdict(StrEnum):
    """What a document says of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NOT_SAID = "not_said"


class ClaimReading(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict, the sentence that it rests on, and what decided."""

    claim: str
    verdict: ClaimVerdict
    sentence: str = ""
    why: str = ""


def claims_of(answer: str) -> list[str]:
    """An answer's sentences, each a claim of its own; questions claim nothing."""
    return [sentence for sentence in sentences_of(answer) if not sentence.endswith("?")]


def read_claim(document: str, claim: str) -> ClaimReading:
    """What the document says of the claim."""
    wanted = words_of(claim)
    sentences = document_words(document)
    if not sentences or not wanted.stems | wanted.numbers:
        return ClaimReading(claim=claim, verdict=ClaimVerdict.NOT_SAID, why="nothing to compare")
    told = frozenset[str]().union(*(sentence.stems for sentence in sentences))
    ordered = sorted(sentences, key=lambda sentence: -_coverage(wanted, sentence))
    nearest = ordered[0]
    for sentence in ordered:
        why = _conflict(wanted, sentence, told)
        if why:
            return ClaimReading(
                claim=claim,
                verdict=ClaimVerdict.CONTRADICTED,
                sentence=sentence.text,
                why=why,
            )
        if sentence is nearest and _coverage(wanted, sentence) >= LEAST_SUPPORTED:
            break
    return _supported(wanted, nearest, sentences)


def _supported(
    wanted: SentenceWords,
    nearest: SentenceWords,
    sentences: Sequence[SentenceWords],
) -> ClaimReading:
    """Where nothing says otherwise: whether enough of it is said, with all numbers and names."""
    numbers = frozenset[str]().union(*(sentence.numbers for sentence in sentences))
    names = frozenset[str]().union(*(sentence.names | sentence.stems for sentence in sentences))
    is_told = _coverage(wanted, nearest) >= LEAST_SUPPORTED
    is_decided = wanted.stems & contested() <= nearest.stems
    if is_told and is_decided and wanted.numbers <= numbers and wanted.names <= names:
        verdict = ClaimVerdict.SUPPORTED
    else:
        verdict = ClaimVerdict.NOT_SAID
    return ClaimReading(claim=wanted.text, verdict=verdict, sentence=nearest.text, why="words")


def _conflict(
    claim: SentenceWords,
    sentence: SentenceWords,
    told_anywhere: frozenset[str],
) -> str:
    """Why both cannot hold, or nothing."""
    about_it = _topic_coverage(claim, sentence)
    if about_it < LEAST_CONTRADICTED:
        return ""
    number = _other_number(claim, sentence)
    if number:
        return f"another number than {number}"
    for group in exclusive_groups():
        said = claim.stems & group
        if said and sentence.stems & group and not said & told_anywhere:
            return "another of its kind (a day, a month, a unit)"
    flips = (claim.negations - sentence.negations) % 2
    opposed = _opposed(claim.stems, sentence.stems)
    if opposed and not flips:
        return f"the opposite: {opposed}"
    if about_it < LEAST_NEGATED:
        return ""
    if flips and not opposed:
        return "negated"
    if claim.names and sentence.names and not claim.names & (sentence.names | sentence.stems):
        return "another name"
    return ""


def _other_number(claim: SentenceWords, sentence: SentenceWords) -> str:
    """A number of the claim beside a word that has another one in the sentence."""
    told = {word: number for number, word in sentence.counted}
    for number, word in sorted(claim.counted):
        if number not in sentence.numbers and told.get(word, number) != number:
            return number
    return ""


def _opposed(said: frozenset[str], told: frozenset[str]) -> str:
    for left, right in opposite_sides():
        for one, other in ((left, right), (right, left)):
            mine = _begins(said, one)
            theirs = _begins(told, other)
            if mine and theirs and not _begins(told, one):
                return f"{theirs} and {mine}"
    return ""


def _begins(stems: frozenset[str], group: Sequence[str]) -> str:
    for stem in sorted(stems):
        for word in group:
            if stem == stem_of(word):
                return word
    return ""


def _coverage(claim: SentenceWords, sentence: SentenceWords) -> float:
    """The share of the claim's words and numbers that the sentence has."""
    wanted = claim.stems | claim.numbers
    found = wanted & (sentence.stems | sentence.numbers)
    return len(found) / max(1, len(wanted))


def _topic_coverage(claim: SentenceWords, sentence: SentenceWords) -> float:
    """The same without what a conflict is about: numbers, names, exclusive and opposite words."""
    about = claim.stems - contested() - claim.names or claim.stems
    if not about:
        return 0.0
    return len(about & sentence.stems) / len(about)
