"""Texts of others for people's eyes: nothing in them moves the cursor or turns the line around."""

from __future__ import annotations

import unicodedata

HARMLESS = "\n\t"
UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Unicode's categories of what has no glyph: control, format (bidi, tags), surrogates, unused."""
SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0), range(0x180B, 0x1810))
FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
"""Letters and marks by category that are drawn as nothing."""


def visible(text: str, *, keep: str = HARMLESS) -> str:
    """The text with each character that nobody sees written out, as in <U+202E>.

    `keep`: unseen characters that may stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible_char(char, keep) for char in text)


def visible_line(text: str) -> str:
    """The same where a line may not break."""
    return visible(text, keep="")


def _visible_char(char: str, keep: str) -> str:
    if char in keep or not _is_unseen(char):
        return char
    return f"<U+{ord(char):04X}>"


def _is_unseen(char: str) -> bool:
    if char in FILLERS or unicodedata.category(char) in UNSEEN:
        return True
    code = ord(char)
    return any(code in selectors for selectors in SELECTORS)
