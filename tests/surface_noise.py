"""Ways to write a phrase so that a reader still reads it and a list of phrases does not."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Callable

KEYS = "qwertyuiop[asdfghjkl;zxcvbnm,"
RIGHT = {key: KEYS[place + 1] for place, key in enumerate(KEYS[:-1])}
VOWELS = "aeiou"


def _swapped(word: str) -> str:
    return word if len(word) < 6 else word[:2] + word[3] + word[2] + word[4:]


def _shortened(word: str) -> str:
    return word if len(word) < 6 else word[:3] + word[4:]


def _doubled(word: str) -> str:
    return word if len(word) < 6 else word[:4] + word[3:]


def _mistyped(word: str) -> str:
    return word if len(word) < 6 else word[:3] + RIGHT.get(word[3], word[3]) + word[4:]


def _without_vowels(word: str) -> str:
    return word[0] + "".join(letter for letter in word[1:] if letter not in VOWELS)


def _cut(sign: str) -> Callable[[str], str]:
    return lambda word: word if len(word) < 6 else f"{word[:3]}{sign}{word[3:]}"


def by_word(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: " ".join(map(change, text.lower().split()))


def _places(text: str, between: str, gap: str) -> str:
    words = [[str(ord(char) - 96) for char in word] for word in text.lower().split()]
    return gap.join(between.join(word) for word in words)


def _codes(text: str, between: str) -> str:
    return between.join(str(ord(char)) for char in text)


def rot47(text: str) -> str:
    return "".join(chr(33 + (ord(c) + 14) % 94) if "!" <= c <= "~" else c for c in text)


NOISE: dict[str, Callable[[str], str]] = {
    "two letters swapped": by_word(_swapped),
    "one letter missing": by_word(_shortened),
    "one letter doubled": by_word(_doubled),
    "one letter mistyped": by_word(_mistyped),
    "hyphens in words": by_word(_cut("-")),
    "dots in words": by_word(_cut(".")),
    "spaces in words": by_word(_cut(" ")),
    "tags in words": by_word(_cut("<b></b>")),
    "comments in words": by_word(_cut("<!-- x -->")),
    "an entity in words": by_word(lambda word: word.replace("i", "&#105;", 1)),
    "soft hyphens as entities": by_word(_cut("&shy;")),
    "a zero-width space as entity": by_word(_cut("&#8203;")),
    "asterisks in words": by_word(_cut("**")),
    "leet here and there": lambda text: text.replace("o", "0").replace("e", "3", 2),
    "places in the alphabet": lambda text: _places(text, "-", " "),
    "places, slashes between words": lambda text: _places(text, " ", " / "),
    "codes with hyphens": lambda text: _codes(text, "-"),
    "codes with bars": lambda text: _codes(text, " | "),
    "codes with dots": lambda text: _codes(text, "."),
    "rot47": rot47,
    "gzip, base64": lambda text: base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode(),
    "zlib, base64": lambda text: base64.b64encode(zlib.compress(text.encode())).decode(),
    "zlib, hex": lambda text: zlib.compress(text.encode()).hex(),
    "each word reversed": by_word(lambda word: word[::-1]),
    "vowels dropped": by_word(_without_vowels),
    "letters repeated": by_word(lambda word: word[0] * 3 + word[1:]),
    "keys to the right": lambda text: "".join(RIGHT.get(char, char) for char in text.lower()),
    "boxed letters": lambda text: "".join(
        chr(0x1F130 + ord(c) - 65) if "A" <= c <= "Z" else c for c in text.upper()
    ),
    "flag letters": lambda text: "".join(
        chr(0x1F1E6 + ord(c) - 65) + "\u200b" if "A" <= c <= "Z" else c for c in text.upper()
    ),
    "underscores": lambda text: text.replace(" ", "_"),
    "slashes": lambda text: text.replace(" ", "/"),
    "words in camel case": lambda text: text.title().replace(" ", ""),
    "a mixture": by_word(lambda word: _cut("\u200b")(_swapped(word)).replace("o", "0")),
}
