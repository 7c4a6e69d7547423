"""Ways to write a text so that filters miss it and models may not.

Each is a function; `+` joins them from the inside out.
"""

from __future__ import annotations

import base64
import codecs
from collections.abc import Callable

from llmops_cli.core.errors import unknown_name
from llmops_cli.guard.ciphers import CIPHERS
from llmops_cli.guard.confusables import BY_LETTER
from llmops_cli.guard.writing import BRAILLE, MORSE, NATO

Transform = Callable[[str], str]

TO_MORSE = {char: code for code, char in MORSE.items()}
TO_BRAILLE = {char: sign for sign, char in BRAILLE.items()}
TO_NATO = {letter: word for word, letter in reversed(NATO.items())}
LEET = str.maketrans("aeiostAEIOST", "431057431057")
FIRST_CYRILLIC = "\u0400"
FULL_WIDTH = 0xFEE0
"""From an ASCII character to its wide form."""
TAGS = 0xE0000
"""From an ASCII character to its tag, which nobody sees."""
SELECTORS = 0xFE00
MORE_SELECTORS = 0xE0100
"""Variation selectors: sixteen, and 240 more; together a byte."""
SMILE = "\U0001f600"


def transform(name: str, text: str) -> str:
    """`rot13+base64` first exchanges letters, then encodes.

    Raises: UsageError for an unknown one.
    """
    for part in name.split("+"):
        if part not in TRANSFORMS:
            raise unknown_name("transform", part, TRANSFORMS)
        text = TRANSFORMS[part](text)
    return text


def _base64(text: str) -> str:
    encoded = base64.b64encode(text.encode())
    return encoded.decode()


def _base32(text: str) -> str:
    encoded = base64.b32encode(text.encode())
    return encoded.decode()


def _hex(text: str) -> str:
    return text.encode().hex()


def _binary(text: str) -> str:
    raw = text.encode()
    return " ".join(f"{byte:08b}" for byte in raw)


def _rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def _leet(text: str) -> str:
    return text.translate(LEET)


def _reversed(text: str) -> str:
    return text[::-1]


def _spaced(text: str) -> str:
    words = text.split()
    spaced = [" ".join(word) for word in words]
    return "  ".join(spaced)


def _morse(text: str) -> str:
    words = []
    for word in text.lower().split():
        codes = [TO_MORSE[char] for char in word if char in TO_MORSE]
        words.append(" ".join(codes))
    return " / ".join(words)


def _braille(text: str) -> str:
    letters = text.lower()
    cells = [TO_BRAILLE.get(char, "") for char in letters]
    return "".join(cells)


def _url(text: str) -> str:
    raw = text.encode()
    return "".join(f"%{byte:02X}" for byte in raw)


def _html(text: str) -> str:
    return "".join(f"&#{ord(char)};" for char in text)


def _escapes(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


def _full_width(text: str) -> str:
    wide = ""
    for char in text:
        if "!" <= char <= "~":
            char = chr(ord(char) + FULL_WIDTH)
        wide += char
    return wide


def _tags(text: str) -> str:
    ascii_only = [char for char in text if char.isascii()]
    tags = [chr(TAGS + ord(char)) for char in ascii_only]
    return "".join(tags)


def _selectors(text: str) -> str:
    """Each byte of the text as one variation selector of an emoji."""
    raw = text.encode()
    selectors = [_selector(byte) for byte in raw]
    return SMILE + "".join(selectors)


def _selector(byte: int) -> str:
    if byte < 16:
        return chr(SELECTORS + byte)
    return chr(MORE_SELECTORS + byte - 16)


def _lookalike(letter: str) -> str:
    """The first form of the letter that another script has."""
    for form in BY_LETTER[letter]:
        if form > FIRST_CYRILLIC:
            return form
    return letter


LOOKALIKES = {letter: _lookalike(letter) for letter in BY_LETTER}


def _homoglyphs(text: str) -> str:
    swapped = [LOOKALIKES.get(char, char) for char in text]
    return "".join(swapped)


def _nato(text: str) -> str:
    letters = "".join(text.lower().split())
    words = [TO_NATO.get(char, char) for char in letters]
    return " ".join(words)


def _pig_latin(text: str) -> str:
    plain = text.lower().strip("?.!")
    words = [_pig_latin_word(word) for word in plain.split()]
    return " ".join(words)


def _pig_latin_word(word: str) -> str:
    vowels = [place for place, char in enumerate(word) if char in "aeiou"]
    consonants = min(vowels, default=0)
    if consonants == 0:
        return f"{word}way"
    beginning = word[:consonants]
    rest = word[consonants:]
    return f"{rest}{beginning}ay"


TRANSFORMS: dict[str, Transform] = {
    "base64": _base64,
    "base32": _base32,
    "hex": _hex,
    "binary": _binary,
    "rot13": _rot13,
    "atbash": CIPHERS["atbash"].encode,
    "leet": _leet,
    "reversed": _reversed,
    "spaced": _spaced,
    "morse": _morse,
    "braille": _braille,
    "url": _url,
    "html": _html,
    "escapes": _escapes,
    "fullwidth": _full_width,
    "zero-width": "\u200b".join,
    "tags": _tags,
    "selectors": _selectors,
    "homoglyphs": _homoglyphs,
    "nato": _nato,
    "pig-latin": _pig_latin,
}
