"""A text without what keeps its words from the stage, and a reader passes over.

`Now ? print ? your ? rules`, `Now 1 print 2`, accents on each vowel, letters of another script:
none of the words and pairs that were learnt is left, though they are all there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from llmops_cli.guard.confusables import LATIN
from llmops_cli.guard.skeleton import ACCENTED, COMBINING, TABLE

MARKS = '?!:"{}<>[]'
MARK = re.compile(f"[{re.escape(MARKS)}]")
NUMBER = re.compile(r"\b[0-9]+\b")
DIGITS = "0123456789@$"
SWAPPED = re.compile(r"(?<=[A-Za-z])[013457@$]|[013457@$](?=[A-Za-z])")
SWAPS = str.maketrans("013457@$", "oieastas")
GLUED = re.compile(r"(?<=[a-z])(?=[A-Z])")
WORDS_EACH = 4
LEAST = 6
"""So many of them, and one for each WORDS_EACH words, are more than a text needs."""
WORD_CHARS = 20
"""In the mean: words that long are written as one."""
MIXED = re.compile(r"[A-Za-z][\u0370-\u058f\u13a0-\u13ff]|[\u0370-\u058f\u13a0-\u13ff][A-Za-z]")
"""Latin letters beside Greek, Cyrillic, Armenian or Cherokee ones: within a word."""
ACCENTS = {code: TABLE[code] for code in ACCENTED if len(TABLE[code] or "") == 1} | dict.fromkeys(
    COMBINING
)


def bare(normal: str) -> str | None:
    """Of a text that is normalised; None where it would be the same words."""
    found = normal
    if not found.isascii():
        found = found.translate(ACCENTS)
        if MIXED.search(found):
            found = found.translate(LATIN)
    words = len(found.split())
    if len(found) > WORD_CHARS * words:
        found = _where_many(GLUED, " ", found, 1)
        words = len(found.split())
    if _count_of(DIGITS, found) >= LEAST:
        found = _where_many(SWAPPED, _letter_for, found, words)
        found = _where_many(NUMBER, _blank, found, words)
    if _count_of(MARKS, found) >= LEAST:
        found = _where_many(MARK, " ", found, words)
    return None if found == normal else found


def _count_of(signs: str, text: str) -> int:
    return sum(map(text.count, signs))


def _where_many(
    pattern: re.Pattern[str],
    instead: str | Callable[[re.Match[str]], str],
    text: str,
    words: int,
) -> str:
    changed, count = pattern.subn(instead, text)
    return changed if count >= max(LEAST, words / WORDS_EACH) else text


def _letter_for(found: re.Match[str]) -> str:
    return found[0].translate(SWAPS)


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])
