"""What the learnt stage weighs of a window: its words, their pairs, and the marks between them.

No single word tells an attack, but who writes one in words of his own still says `your`, `instead`,
`what you were told`: words that honest texts have too, in pairs that few have. Scripts without
spaces have a word for each sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple
from zlib import crc32

from llmops_cli.guard.automata import without_surrogates
from llmops_cli.guard.normalise import normalise

FORM = "words-pairs/2"
"""Changes with anything that changes a window's features."""
BUCKETS = 1 << 18
WINDOW_WORDS = 48
"""Two or three sentences: in more, one bad one is lost among the good."""
STEP_WORDS = WINDOW_WORDS // 2
UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Thai, Japanese, Chinese, Korean."""
WORD = re.compile(f'[{UNSPACED}]|[^\\W_{UNSPACED}]+|[?!:"{{}}<>\\[\\]]')
BETWEEN = re.compile(f"[^\\w]|[_{UNSPACED}]")
"""Before such a sign no word goes on."""
BLOCK_CHARS = 1 << 14
OF_PAIR = 0x5BD1E995
"""Keeps the pair of `a` and `b` apart from the word `ab`."""

Span = tuple[int, int]


class Window(NamedTuple):
    """`features` are numbers below BUCKETS, of the words from `first` to before `last`."""

    features: set[int]
    first: int
    last: int


def windows_of(text: str) -> Iterator[Window]:
    """Each overlaps half of the one before; none of a text without words. Linear in the text.

    Words are read in blocks: those of a long text would take hundreds of times its memory.
    """
    return windows_in(normalised(text))


def windows_in(normal: str) -> Iterator[Window]:
    """Of a text that is normalised."""
    words: list[str] = []
    first = 0
    for block, is_last in _blocks_of(normal.lower()):
        words += block
        found = _windows_in(words, first, is_last=is_last)
        yield from found
        done = len(found) * STEP_WORDS
        words = words[done:]
        first += done


def _blocks_of(read: str) -> Iterator[tuple[list[str], bool]]:
    """The text's words, and whether they are its last. No word lies in two blocks."""
    start = 0
    while len(read) - start > BLOCK_CHARS:
        found = BETWEEN.search(read, start + BLOCK_CHARS)
        if found is None:
            break
        yield WORD.findall(read, start, found.start()), False
        start = found.start()
    yield WORD.findall(read, start), True


def _windows_in(
    words: Sequence[str],
    offset: int,
    *,
    is_last: bool,
) -> list[Window]:
    """Those that are whole, and behind the text's last words those that are not.

    `offset`: of the first of the words in the text.
    """
    if is_last:
        end = max(len(words) - STEP_WORDS, 1 if words and not offset else 0)
    else:
        end = max(len(words) - WINDOW_WORDS + 1, 0)
    if not end:
        return []
    raw = " ".join(words).encode().split(b" ")
    singles = list(map(crc32, raw))
    pairs = [*map(crc32, raw[1:], [number ^ OF_PAIR for number in singles])]
    singles = [number % BUCKETS for number in singles]
    pairs = [number % BUCKETS for number in pairs]
    found = []
    for first in range(0, end, STEP_WORDS):
        last = min(first + WINDOW_WORDS, len(words))
        features = {*singles[first:last], *pairs[first : last - 1]}
        found.append(Window(features, offset + first, offset + last))
    return found


def span_of(text: str, window: Window) -> Span:
    """Where it stands in the text as it came; the whole text where signs were read as others."""
    read = normalised(text).lower()
    if len(read) != len(text):
        return 0, len(text)
    matches = list(islice(WORD.finditer(read), window.first, window.last))
    return matches[0].start(), matches[-1].end()


def normalised(text: str) -> str:
    return normalise(without_surrogates(text)).text
