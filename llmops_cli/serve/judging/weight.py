"""What reading a body, or judging texts, would keep the event loop busy for: an upper bound.

Counted in one pass of C over the bytes, before anything is taken apart. Times are those of a slow
machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

INLINE_MS = 15.0
"""The loop may be kept so long by one body's reading: most are read in a tenth of that."""
SMALL_BYTES = 4 << 10
BYTE_MS = 3e-6
QUOTE_MS = 1e-3
"""Half a string: a key or a value, and the Python that looks at it."""
OBJECT_MS = 1e-3
NUMBER_MS = 1e-4
ESCAPE_MS = 5e-5

JUDGED_CHARS = 2048
JUDGED_TEXTS = 8
"""At most so much is judged on the loop, mostly in 2 ms; texts written to be slow took 7."""

PHRASE = re.compile("[\u3300-\u33ff\ufdf0-\ufdff]")
"""Signs for phrases and units, which are read as their letters."""
PHRASE_CHARS = 18
"""Of the longest (U+FDFA)."""


def is_light(body: bytes) -> bool:
    """Whether a body may be read on the loop."""
    size = len(body)
    if size <= SMALL_BYTES:
        return True
    left_ms = INLINE_MS - size * BYTE_MS
    for mark, cost_ms in (
        (b'"', QUOTE_MS),
        (b"{", OBJECT_MS),
        (b"[", OBJECT_MS),
        (b",", NUMBER_MS),
        (b"\\", ESCAPE_MS),
    ):
        if left_ms < 0:
            return False
        left_ms -= body.count(mark) * cost_ms
    return left_ms >= 0


def are_few(texts: Sequence[str]) -> bool:
    """Whether texts may be judged on the loop."""
    if len(texts) > JUDGED_TEXTS or sum(map(len, texts)) > JUDGED_CHARS:
        return False
    return sum(map(_read_chars, texts)) <= JUDGED_CHARS


def _read_chars(text: str) -> int:
    """At most so many characters are read of it: one sign may stand for some words."""
    if text.isascii():
        return len(text)
    return len(text) + (PHRASE_CHARS - 1) * len(PHRASE.findall(text))
