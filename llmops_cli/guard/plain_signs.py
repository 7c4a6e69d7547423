"""The same text with plain spaces, hyphens and digits: one for one, so that places stay."""

from __future__ import annotations

import unicodedata

from llmops_cli.guard.automata import without_surrogates

FULL_WIDTH = {code + 0xFEE0: code for code in range(0x21, 0x7F)}
SPACES = (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
DASHES = (0x2010, 0x2011, 0x2012, 0x2013, 0x2212, 0xFE58, 0xFE63)
"""Those that people type in numbers; a long dash stands between clauses."""
NOTHING = (0xAD, 0x200B, 0x2060, 0xFEFF)
"""Characters without width become a separator: within a number it makes no difference."""
DIGITS = {
    code: str(unicodedata.digit(chr(code)))
    for code in range(0x660, 0x1C50)
    if unicodedata.category(chr(code)) == "Nd"
}
TABLE: dict[int, int | str] = {
    **FULL_WIDTH,
    **dict.fromkeys(SPACES, " "),
    **dict.fromkeys(DASHES, "-"),
    **dict.fromkeys(NOTHING, " "),
    **DIGITS,
}


def plain_signs(text: str) -> str:
    """Plain ASCII comes back as it is."""
    return text if text.isascii() else without_surrogates(text).translate(TABLE)
