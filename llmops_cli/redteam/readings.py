"""What each transform wrote, read back: the proof that a text still carries what it hides."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
from collections.abc import Callable
from urllib.parse import unquote

from llmops_cli.core.unicode_forms import normalised
from llmops_cli.redteam.transforms import (
    LOOKALIKES,
    MORE_SELECTORS,
    SELECTORS,
    TAGS,
    TO_BRAILLE,
    TO_MORSE,
    TO_NATO,
    TRANSFORMS,
)

Read = Callable[[str], str]

LATIN = {form: letter for letter, form in LOOKALIKES.items()}
FROM_MORSE = {code: char for char, code in TO_MORSE.items()}
FROM_BRAILLE = {sign: char for char, sign in TO_BRAILLE.items()}
FROM_NATO = {word: letter for letter, word in TO_NATO.items()}
FROM_LEET = str.maketrans("0134578", "oieastb")
ESCAPE = re.compile(r"\\u([0-9a-f]{4})")
UNREADABLE = (ValueError, KeyError, binascii.Error, OverflowError)
"""What reading something else than was written raises."""


def letters(text: str) -> str:
    """Letters and digits alone, in one case: what a reader goes by."""
    folded = normalised("NFKC", text).casefold()
    return "".join(char for char in folded if char.isalnum())


def reads_back(name: str, before: str, after: str) -> bool:
    """Whether the transform's own inverse gives the letters that went in."""
    read = READINGS.get(name)
    if read is None:
        return False
    try:
        found = read(after)
    except UNREADABLE:
        return False
    return bool(found) and letters(found) == letters(before)


def _base64(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()


def _base32(text: str) -> str:
    return base64.b32decode(text).decode()


def _hex(text: str) -> str:
    return bytes.fromhex(text).decode()


def _binary(text: str) -> str:
    return bytes(int(byte, 2) for byte in text.split()).decode()


def _rot13(text: str) -> str:
    return codecs.decode(text, "rot13")


def _leet(text: str) -> str:
    return text.translate(FROM_LEET)


def _as_it_is(text: str) -> str:
    return text


def _morse(text: str) -> str:
    words = text.split(" / ")
    return " ".join("".join(FROM_MORSE[code] for code in word.split()) for word in words)


def _braille(text: str) -> str:
    return "".join(FROM_BRAILLE[sign] for sign in text)


def _escapes(text: str) -> str:
    return ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def _zero_width(text: str) -> str:
    return text.replace("\u200b", "")


def _tags(text: str) -> str:
    return "".join(chr(ord(char) - TAGS) for char in text)


def _selectors(text: str) -> str:
    return bytes(_byte(ord(char)) for char in text[1:]).decode()


def _byte(code: int) -> int:
    if code >= MORE_SELECTORS:
        return code - MORE_SELECTORS + 16
    return code - SELECTORS


def _homoglyphs(text: str) -> str:
    return "".join(LATIN.get(char, char) for char in text)


def _nato(text: str) -> str:
    return "".join(FROM_NATO.get(word, word) for word in text.split())


READINGS: dict[str, Read] = {
    "base64": _base64,
    "base32": _base32,
    "hex": _hex,
    "binary": _binary,
    "rot13": _rot13,
    "atbash": TRANSFORMS["atbash"],
    "leet": _leet,
    "reversed": lambda text: text[::-1],
    "spaced": _as_it_is,
    "morse": _morse,
    "braille": _braille,
    "url": unquote,
    "html": html.unescape,
    "escapes": _escapes,
    "fullwidth": _as_it_is,
    "zero-width": _zero_width,
    "tags": _tags,
    "selectors": _selectors,
    "homoglyphs": _homoglyphs,
    "nato": _nato,
}
"""Transform -> what reads it. Pig Latin has none: two words can become one."""
