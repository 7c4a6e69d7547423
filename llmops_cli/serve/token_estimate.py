"""About how many tokens a text has, where no tokenizer is at hand: by what kinds of signs it is.

Against cl100k_base: 1.0 to 1.2 times as many for prose, code and JSON, 1.0 for Chinese and for
words of one letter, 1.8 for digits (others have a token for each), 0.64 for base64. Four bytes a
token are 0.35 to 1.1 times as many.
"""

from __future__ import annotations

import string

DIGITS = string.digits.encode()
LOWER = string.ascii_lowercase.encode()
UPPER = string.ascii_uppercase.encode()
SPACES = string.whitespace.encode()
LETTERS = LOWER + UPPER + SPACES
HIGH = bytes(range(0x80, 0x100))
RARE = bytes(range(0xF0, 0xF8))
"""They begin signs of four bytes: emoji, old scripts."""
LETTERS_PER_TOKEN = 4.5
BYTES_PER_FOREIGN_TOKEN = 2.5
OF_A_DIGIT = 0.6
OF_A_MARK = 0.6
OF_A_CAPITAL = 0.4
"""Beside what it is as a letter: words that are written as here and there have more tokens."""


LOOKED_AT = 1 << 20
"""Bytes of a longer text, spread evenly over it."""


def estimated_tokens(text: str) -> int:
    whole = text.encode("utf-8", "surrogatepass")
    step = len(whole) // LOOKED_AT + 1
    return int(_tokens(whole[::step]) * step) + 1


def _tokens(raw: bytes) -> float:
    size = len(raw)
    capitals = _count(raw, UPPER)
    letters = _count(raw, LETTERS)
    digits = _count(raw, DIGITS)
    high = 0 if raw.isascii() else _count(raw, HIGH)
    rare = _count(raw, RARE) if high else 0
    marks = size - letters - digits - high
    found = letters / LETTERS_PER_TOKEN + high / BYTES_PER_FOREIGN_TOKEN + rare
    found += OF_A_DIGIT * digits + OF_A_MARK * marks + OF_A_CAPITAL * capitals
    words = raw.count(b" ")
    return max(found, words)


def _count(raw: bytes, kinds: bytes) -> int:
    """Without a step in Python for each byte."""
    return len(raw) - len(raw.translate(None, kinds))
