"""Patterns as JavaScript has them, in Python's words: names of groups, and classes of letters."""

import re
import unicodedata
from functools import lru_cache

from _shared.grammars.nodes import GrammarError

PIECE = re.compile(
    r"""(?P<property>\\[pP]\{\w+\})|(?P<escape>\\.)|(?P<name>\(\?<(?=[A-Za-z_$]))|(?P<any>.)""",
    re.DOTALL,
)
CATEGORY = re.compile(r"\\p\{([LMNPSZ][a-z]?)\}")
LAST_OF_PLANE = 0xFFFF
"""Beyond it letters are rare, and there are none of people's keyboards."""


def in_python(source: str) -> str:
    """Raises: GrammarError for a class that is not known."""
    written: list[str] = []
    opened = ""
    for piece in PIECE.finditer(source):
        text = piece[0]
        if piece.lastgroup == "property":
            text = class_text(text, opened)
        elif piece.lastgroup == "name" and not opened:
            text = "(?P<"
        elif text == "[" and not opened:
            opened = source[piece.start() : piece.start() + 2]
        elif text == "]" and opened:
            opened = ""
        written.append(text)
    return "".join(written)


def class_text(source: str, opened: str) -> str:
    """`opened`: how the class begins within which it stands, if it does."""
    category = CATEGORY.fullmatch(source)
    if category is None or opened == "[^":
        where = " in an inverted class" if opened == "[^" else ""
        raise GrammarError(f"pattern: {source}{where} is not supported")
    ranges = ranges_of(category[1])
    return ranges if opened else f"[{ranges}]"


@lru_cache(maxsize=32)
def ranges_of(category: str) -> str:
    found: list[str] = []
    first = -1
    for code in range(LAST_OF_PLANE + 2):
        is_in = code <= LAST_OF_PLANE and unicodedata.category(chr(code)).startswith(category)
        if is_in and first < 0:
            first = code
        elif not is_in and first >= 0:
            found.append(f"\\u{first:04x}-\\u{code - 1:04x}")
            first = -1
    return "".join(found)
