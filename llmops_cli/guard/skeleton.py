"""A text's skeleton: lower-case words with one space between, which rules are written for."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from llmops_cli.guard.automata import beside_ascii
from llmops_cli.guard.confusables import LATIN

APOSTROPHES = "'`\u2018\u2019\u02bc\u00b4\u00ad\u200c\u200d"
ACCENTED = (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))
COMBINING = (
    *range(0x300, 0x370),
    *(0x640, 0x670),
    *range(0x64B, 0x660),
    *range(0x591, 0x5BE),
    *(0x5BF, 0x5C1, 0x5C2, 0x5C4, 0x5C5, 0x5C7),
)
"""Accents, and vowels of Arabic and Hebrew that a writer may set or leave out."""
REMEMBERED = 32
REMEMBERED_CHARS = 16_384
"""One text's words are looked at several times."""
FEW_LETTERS = 24
MOSTLY_ASCII = 0.75
LATELY = 4
OTHER_LATIN = {
    ord("ß"): "ss",
    ord("æ"): "ae",
    ord("ø"): "o",
    ord("ł"): "l",
    ord("đ"): "d",
    0x131: "i",
}
"""Letters that no decomposition takes apart."""
TABLE_MOST = 50_000
"""Characters: a million would take a hundred megabytes."""


class CharTable(dict[int, str | None]):
    """What is not a letter, mark or digit becomes a space; the first that are met are kept."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        found = char if unicodedata.category(char)[0] in "LNM" else " "
        if len(self) < TABLE_MOST:
            self[code] = found
        return found


def _table() -> CharTable:
    table = CharTable()
    for code in range(128):
        char = chr(code)
        table[code] = char.lower() if char.isalnum() else " "
    for char in APOSTROPHES:
        table[ord(char)] = None
    for code in ACCENTED:
        base = _base(chr(code))
        table[code] = base if base.isalnum() else chr(code).lower()
    for code in COMBINING:
        table[code] = None
    table |= OTHER_LATIN
    return table


def _base(char: str) -> str:
    """The letter without its accents."""
    parts = unicodedata.normalize("NFKD", char)
    return "".join(part for part in parts if not unicodedata.combining(part)).lower()


TABLE = _table()
ASCII_APOSTROPHES = "".join(char for char in APOSTROPHES if char.isascii()).encode()
ASCII_BYTES = bytes(ord(TABLE[code] or " ") if code < 128 else code for code in range(256))
"""What the table has for ASCII: bytes are translated several times faster than characters."""
LOOKALIKES = CharTable({**TABLE, **LATIN})


def skeleton(text: str) -> str:
    """Words with a space between and around them: no accents, apostrophes or punctuation."""
    return _remembered(text) if len(text) <= REMEMBERED_CHARS else _skeleton(text)


def _skeleton(text: str) -> str:
    if not text.isascii():
        text = _in_ascii(text.lower())
    if text.isascii():
        words = text.encode().translate(ASCII_BYTES, ASCII_APOSTROPHES).split()
        return f" {b' '.join(words).decode()} "
    return f" {' '.join(text.translate(TABLE).split())} "


def _in_ascii(text: str) -> str:
    """With the few letters and signs beside ASCII as the table has them, if none is left then.

    Python translates ASCII alone six times as quickly.
    """
    others = beside_ascii(text)
    if len(text) - len(others) < MOSTLY_ASCII * len(text):
        return text
    found = set(others)
    if len(found) > FEW_LETTERS:
        return text
    plain = text
    for char in found:
        meant = TABLE[ord(char)] or ""
        if not meant.isascii():
            return text
        plain = plain.replace(char, meant)
    return plain


_remembered = lru_cache(REMEMBERED)(_skeleton)


class Words(msgspec.Struct, frozen=True):
    """A skeleton's words, in their order and each once; `longest` has so many characters."""

    in_order: Sequence[str]
    different: frozenset[str]
    longest: int


@lru_cache(LATELY)
def words_of(skeleton: str) -> Words:
    """Of the text that is looked at, which several ask for."""
    in_order = skeleton.split()
    different = frozenset(in_order)
    return Words(in_order, different, max(map(len, different), default=0))


def lookalike_skeleton(text: str) -> str | None:
    """The same with look-alikes of other scripts read as Latin letters; None if there are none."""
    if text.isascii() or not LATIN.keys() & set(map(ord, text)):
        return None
    return f" {' '.join(text.translate(LOOKALIKES).split())} "
