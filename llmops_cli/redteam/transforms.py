"""Ways to write a text so that filters miss it and models may not: each a function, joined by +
from the inside out.
"""

from __future__ import annotations

import base64
import codecs
from collections.abc import Callable
from functools import reduce

from llmops_cli.core.errors import unknown_name
from llmops_cli.guard.confusables import BY_LETTER
from llmops_cli.guard.views import BRAILLE, CIPHERS, MORSE, NATO

TO_MORSE = {char: code for code, char in MORSE.items()}
TO_BRAILLE = {char: sign for sign, char in BRAILLE.items()}
TO_NATO = {letter: word for word, letter in reversed(NATO.items())}
LOOKALIKE = {
    letter: next((c for c in shown if c > "\u0400"), letter) for letter, shown in BY_LETTER.items()
}


def _morse(text: str) -> str:
    return " / ".join(
        " ".join(TO_MORSE[char] for char in word if char in TO_MORSE)
        for word in text.lower().split()
    )


def _pig_latin(text: str) -> str:
    def word(said: str) -> str:
        head = next((i for i, char in enumerate(said) if char in "aeiou"), 0)
        return f"{said[head:]}{said[:head]}ay" if head else f"{said}way"

    return " ".join(word(said) for said in text.lower().strip("?.!").split())


TRANSFORMS: dict[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "binary": lambda text: " ".join(f"{byte:08b}" for byte in text.encode()),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "atbash": CIPHERS["atbash"].encode,
    "leet": lambda text: text.translate(str.maketrans("aeiostAEIOST", "431057431057")),
    "reversed": lambda text: text[::-1],
    "spaced": lambda text: "  ".join(" ".join(word) for word in text.split()),
    "morse": _morse,
    "braille": lambda text: "".join(TO_BRAILLE.get(char, "") for char in text.lower()),
    "url": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "html": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "escapes": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "fullwidth": lambda text: "".join(
        chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text
    ),
    "zero-width": "\u200b".join,
    "tags": lambda text: "".join(chr(0xE0000 + ord(char)) for char in text if char.isascii()),
    "selectors": lambda text: (
        "\U0001f600"
        + "".join(
            chr(0xFE00 + byte) if byte < 16 else chr(0xE0100 + byte - 16) for byte in text.encode()
        )
    ),
    "homoglyphs": lambda text: "".join(LOOKALIKE.get(char, char) for char in text),
    "nato": lambda text: " ".join(
        TO_NATO.get(char, char) for char in text.lower() if not char.isspace()
    ),
    "pig-latin": _pig_latin,
}


def transform(name: str, text: str) -> str:
    """`rot13+base64` first exchanges letters, then encodes. Raises: UsageError for an unknown
    one.
    """
    for part in name.split("+"):
        if part not in TRANSFORMS:
            raise unknown_name("transform", part, TRANSFORMS)
    return reduce(lambda said, part: TRANSFORMS[part](said), name.split("+"), text)
