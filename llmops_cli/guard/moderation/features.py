"""A text as weighted features: its words, their pairs and their pieces, hashed.

Look-alikes and invisible characters are folded first, so that they hide no word; pieces of words
hold where a word is misspelt or inflected.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from llmops_cli.guard.automata import without_surrogates
from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.pieces import parts_of
from llmops_cli.guard.skeleton import skeleton

FORM = "words-pairs-pieces/1"
"""Changes with anything that changes a text's features."""
BUCKETS = 1 << 18
PIECES = (3, 4, 5)
"""Characters of a piece of a word, its ends marked."""
WINDOW_CHARS = 400
"""A sentence or some: in more, one bad one is lost among the good."""
WINDOWS_MOST = 256
"""Of a longer text the first and the last are read: 100 KB of it."""
WORD = re.compile(r"\w+")


class HashedText(NamedTuple):
    """`numbers` of features below BUCKETS, rising, and their `values`, of length 1 together."""

    numbers: list[int]
    values: list[float]


def read_part(text: str) -> str:
    """What is judged of a text, as a whole."""
    return "".join(windows_of(text))


def windows_of(text: str) -> list[str]:
    parts = parts_of(without_surrogates(text), WINDOW_CHARS)
    if len(parts) <= WINDOWS_MOST:
        return parts
    half = WINDOWS_MOST // 2
    return [*parts[:half], *parts[-half:]]


def hashed(window: str) -> HashedText:
    """Nothing of a window without words."""
    counts = Counter(zlib.crc32(name.encode()) % BUCKETS for name in _names(window))
    numbers = sorted(counts)
    weights = [1 + math.log(counts[number]) for number in numbers]
    length = math.sqrt(sum(weight * weight for weight in weights))
    return HashedText(numbers, [weight / length for weight in weights])


def _names(window: str) -> Iterator[str]:
    words = WORD.findall(skeleton(normalise(window).text).lower())
    for word in words:
        yield f"w {word}"
        yield from _pieces(f"<{word}>")
    for first, second in pairwise(words):
        yield f"p {first} {second}"


def _pieces(marked: str) -> Iterator[str]:
    for size in PIECES:
        for start in range(len(marked) - size + 1):
            yield f"c {marked[start : start + size]}"
