"""Assertions on how much an answer has in common with a reference: BLEU and its kin.

Where promptfoo's formula differs from the paper's, ours is promptfoo's, so that thresholds keep
their meaning; the difference is named.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

from llmops_cli.prompt.case_file.suite import Check
from llmops_cli.prompt.checks.verdict import (
    Given,
    Misused,
    Verdict,
    holds,
    reaches,
    text_of,
    texts_of,
)

Words = list[str]
SMOOTHING = 1e-7
"""The precision of an order of which nothing matches."""
ORDERS = (1, 2, 3, 4)
MOST_EDITED_CHARS = 200_000
"""Of two texts together, without their common beginning and end: more take minutes."""


def bleu(check: Check, given: Given) -> Verdict:
    """Source: Papineni et al. 2002; precisions of 0 are smoothed."""
    score = _bleu(_words(given.text), [_words(each) for each in texts_of(check)])
    return reaches(score, check, usual=0.5, name="BLEU")


def _bleu(candidate: Words, references: list[Words]) -> float:
    if not candidate:
        return 0.0
    logarithms = 0.0
    for order in ORDERS:
        own = _grams(candidate, order)
        best = max(_common(own, _grams(each, order)) for each in references)
        total = sum(own.values())
        precision = best / total if total else 0.0
        logarithms += math.log(precision or SMOOTHING) / len(ORDERS)
    lengths = [len(each) for each in references]
    nearest = min(lengths, key=lambda length: abs(length - len(candidate)))
    penalty = 1.0
    if len(candidate) <= nearest:
        penalty = math.exp(1 - nearest / len(candidate))
    return penalty * math.exp(logarithms)


def gleu(check: Check, given: Given) -> Verdict:
    """The smaller of precision and recall over orders 1 to 4. Source: Wu et al. 2016."""
    candidate = _without_stops(_words(given.text))
    scores = [_gleu(candidate, _without_stops(_words(each))) for each in texts_of(check)]
    return reaches(max(scores), check, usual=0.5, name="GLEU")


def _gleu(candidate: Words, reference: Words) -> float:
    if not candidate:
        return 0.0
    if candidate == reference:
        return 1.0
    common = 0
    own = 0
    other = 0
    for order in ORDERS:
        ours = _grams(candidate, order)
        theirs = _grams(reference, order)
        common += _common(ours, theirs)
        own += sum(ours.values())
        other += sum(theirs.values())
    if not own or not other:
        return 0.0
    return min(common / own, common / other)


def rouge_n(check: Check, given: Given) -> Verdict:
    """F1 of single words. Source: Lin 2004."""
    ours = Counter(tokens(given.text.lower()))
    theirs = Counter(tokens(text_of(check).lower()))
    common = _common(ours, theirs)
    score = 0.0
    if common:
        score = 2 * common / (sum(ours.values()) + sum(theirs.values()))
    return reaches(score, check, usual=0.75, name="ROUGE-1")


def meteor(check: Check, given: Given) -> Verdict:
    """Exact and stemmed matches; without WordNet's synonyms, which promptfoo has too.

    Source: Banerjee and Lavie 2005, with alpha 0.9, beta 3, gamma 0.5.
    """
    candidate = _without_stops(given.text.split())
    scores = [_meteor(candidate, _without_stops(each.split())) for each in texts_of(check)]
    return reaches(max(scores), check, usual=0.5, name="METEOR")


def _meteor(candidate: Words, reference: Words) -> float:
    pairs = _aligned(candidate, reference)
    if not pairs:
        return 0.0
    precision = len(pairs) / len(candidate)
    recall = len(pairs) / len(reference)
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    chunks = 1
    for (i, j), (following_i, following_j) in pairwise(pairs):
        if following_i != i + 1 or following_j != j + 1:
            chunks += 1
    penalty = 0.5 * (chunks / len(pairs)) ** 3
    return (1 - penalty) * mean


def _aligned(candidate: Words, reference: Words) -> list[tuple[int, int]]:
    """Places of the same word, then of the same stem, from the end, each once."""
    pairs = []
    left = list(range(len(candidate)))
    right = list(range(len(reference)))
    for form in (str.lower, stem):
        free: dict[str, list[int]] = defaultdict(list)
        for j in right:
            free[form(reference[j])].append(j)
        for i in reversed(left.copy()):
            matches = free[form(candidate[i])]
            if matches:
                pairs.append((i, matches.pop()))
        left = sorted(set(left) - {i for i, _ in pairs})
        right = sorted(set(right) - {j for _, j in pairs})
    return sorted(pairs)


SUFFIXES = ("ational", "ization", "fulness", "ousness", "iveness", "ingly", "edly", "ment", "ness")
SHORT_SUFFIXES = ("ing", "ies", "ed", "ly", "es", "s", "e")


def stem(word: str) -> str:
    """A word without its commonest endings; light, where promptfoo's is Porter's."""
    word = word.lower()
    for suffix in (*SUFFIXES, *SHORT_SUFFIXES):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            base = word.removesuffix(suffix)
            if suffix == "ies":
                return base + "i"
            return base[:-1] if base[-1:] == base[-2:-1] else base
    return word


def levenshtein(check: Check, given: Given) -> Verdict:
    """Edits of single characters, at most the threshold, which is 5 unless named."""
    wanted = text_of(check)
    limit = 5.0 if check.threshold is None else check.threshold
    distance = edits(given.text, wanted)
    words = f"be within {limit:g} edits of the reference, is {distance} away"
    return holds(distance <= limit, check, words)


def edits(left: str, right: str) -> int:
    """Single characters put in, left out or replaced, to make one text the other.

    A column of the table of distances is two whole numbers: where it goes up by one, and where
    down. Source: Myers 1999, in the form of Hyyro 2003.

    Raises: Misused for texts that differ over too many characters.
    """
    left, right = _different(left, right)
    if not left or not right:
        return len(left) + len(right)
    both = len(left) + len(right)
    if both > MOST_EDITED_CHARS:
        raise Misused(
            f"levenshtein takes texts that differ over {MOST_EDITED_CHARS:,} characters at most, "
            f"both together, these over {both:,}"
        )
    places: dict[str, int] = {}
    for place, char in enumerate(left):
        places[char] = places.get(char, 0) | 1 << place
    whole = (1 << len(left)) - 1
    last = 1 << len(left) - 1
    distance = len(left)
    up = whole
    down = 0
    for char in right:
        same = places.get(char, 0)
        kept = same | down
        diagonal = (((same & up) + up) ^ up) | same
        right_up = down | ~(diagonal | up) & whole
        right_down = up & diagonal
        if right_up & last:
            distance += 1
        elif right_down & last:
            distance -= 1
        shifted_up = (right_up << 1 | 1) & whole
        shifted_down = right_down << 1 & whole
        up = shifted_down | ~(kept | shifted_up) & whole
        down = shifted_up & kept
    return distance


def _different(left: str, right: str) -> tuple[str, str]:
    """Without their common beginning and end, which take no edits."""
    begin = _alike(left, right)
    left = left[begin:]
    right = right[begin:]
    end = _alike(left[::-1], right[::-1])
    return left[: len(left) - end], right[: len(right) - end]


def _alike(left: str, right: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(left, right, strict=False))
    shorter = min(len(left), len(right))
    return next((place for place, (one, other) in pairs if one != other), shorter)


def tokens(text: str) -> Words:
    """Words and signs apart, as Penn's treebank has them in the main."""
    apart = re.sub(r"([^\w\s.'])", r" \1 ", text)
    apart = re.sub(r"(n't|'(?:s|m|d|re|ve|ll))\b", r" \1", apart)
    apart = re.sub(r"\.(\s|$)", r" . \1", apart)
    return apart.split()


def _words(text: str) -> Words:
    return text.lower().split()


def _without_stops(words: Words) -> Words:
    return [word.rstrip(".") for word in words]


def _grams(words: Sequence[str], order: int) -> Counter[str]:
    last = len(words) - order + 1
    return Counter(" ".join(words[i : i + order]) for i in range(last))


def _common(left: Counter[str], right: Counter[str]) -> int:
    return sum((left & right).values())


Overlap = Callable[[Check, Given], Verdict]
