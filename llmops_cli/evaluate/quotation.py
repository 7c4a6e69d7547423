"""What an answer says by itself: without what it repeats of the question, and without quotes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

WORD = re.compile(r"\w+")
LEAST_WORDS = 3
"""So many of the question's words in a row are a repetition of it."""
LEAST_CHARS = 16
"""A single word so long (an encoded question, an address) is one too."""
QUOTED = re.compile(
    r"```.*?```|`[^`\n]*`|\"[^\"\n]*\"|“[^”\n]*”|«[^»\n]*»|„[^“”\n]*[“”]|「[^」\n]*」"
    r"|(?<!\w)'[^'\n]*'(?!\w)|(?<!\w)‘[^’\n]*’(?!\w)|^>[^\n]*$",  # noqa: RUF001
    re.DOTALL | re.MULTILINE,
)
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff]")
"""Control characters and those without width; joiners are letters of some scripts."""
SPACES = re.compile(" {2,}")


def without_repetition(
    answer: str,
    asked: Iterable[str],
    *,
    least_words: int = LEAST_WORDS,
) -> str:
    """The answer with a gap for each run of words that stands in what was asked.

    Case and punctuation do not matter: an escaped, a wrapped or a shouted copy is a copy.
    """
    wanted: set[tuple[str, ...]] = set()
    for text in asked:
        wanted |= _runs(_words(text), least_words)
    sizes = {len(run) for run in wanted}
    found = list(WORD.finditer(answer))
    said = [match[0].lower() for match in found]
    copied = set[int]()
    for start in range(len(said)):
        for size in sizes:
            run = tuple(said[start : start + size])
            if run in wanted:
                copied.update(range(start, start + len(run)))
    spans: list[tuple[int, int]] = []
    for place in sorted(copied):
        start, end = found[place].span()
        if place - 1 in copied:
            start, _ = spans.pop()
        spans.append((start, end))
    return _cut(answer, spans)


def straight(text: str) -> str:
    """The text as patterns are written: straight apostrophes, nothing that readers do not see."""
    plain = text.replace("\u2019", "'")
    if not UNSEEN.search(plain):
        return plain
    return SPACES.sub(" ", UNSEEN.sub("", plain))


def without_quotes(answer: str) -> str:
    """The answer with a gap for each quotation and each block of code."""
    return QUOTED.sub(" ", answer)


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def _runs(words: list[str], least: int) -> set[tuple[str, ...]]:
    """All runs of so many words, or the whole of a shorter text; and each long word."""
    size = max(2, min(least, len(words)))
    runs = {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}
    long_words = {(word,) for word in words if len(word) >= LEAST_CHARS}
    return runs | long_words


def _cut(text: str, spans: list[tuple[int, int]]) -> str:
    """The text without the spans, which are in order."""
    edges = [(0, 0), *spans, (len(text), len(text))]
    kept = [text[before[1] : after[0]] for before, after in pairwise(edges)]
    return " ".join(part for part in kept if part)
