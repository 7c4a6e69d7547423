"""Ways to write letters with other signs: Morse, Braille, NATO's alphabet, numbers."""

from __future__ import annotations

import re
from collections import Counter

MORSE_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!'\":;/-()@=+"
MORSE_CODES = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- "
    "-..- -.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- --..-- "
    "..--.. -.-.-- .----. .-..-. ---... -.-.-. -..-. -....- -.--. -.--.- .--.-. -...- .-.-."
)
MORSE = dict(zip(MORSE_CODES.split(), MORSE_CHARS, strict=True))
TYPED_DOTS = "•·∙․"  # noqa: RUF001
TYPED_DASHES = "–—−_"  # noqa: RUF001
MORSE_SIGNS = str.maketrans(dict.fromkeys(TYPED_DASHES, "-") | dict.fromkeys(TYPED_DOTS, "."))
"""What people type for dots and dashes."""
PLACE = re.compile(r"(\d+)(\D*)")
KNOWN_SHARE = 0.9
LETTERS_LEAST = 4

BRAILLE = dict(
    zip("⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵⠀⠂⠆⠲⠦⠖⠤⠄", "abcdefghijklmnopqrstuvwxyz ,;.?!-'", strict=True)
)
BRAILLE_DIGITS = dict(zip("⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚", "1234567890", strict=True))
NUMBER_SIGN = "⠼"
CAPITAL_SIGN = "⠠"

NATO_WORDS = (
    "alfa alpha bravo charlie delta echo foxtrot golf hotel india juliett juliet kilo lima mike "
    "november oscar papa quebec romeo sierra tango uniform victor whiskey whisky xray yankee zulu"
)
NATO = {word: word[0] for word in NATO_WORDS.split()}


def read_morse(run: str) -> str | None:
    """The text, if nearly all codes are letters."""
    words = [word.split() for word in re.split(r"[/|\n]+|\s{2,}", run.translate(MORSE_SIGNS))]
    codes = [code for word in words for code in word]
    known = sum(code in MORSE for code in codes)
    if known < KNOWN_SHARE * len(codes) or known < LETTERS_LEAST:
        return None
    return " ".join("".join(MORSE.get(code, "") for code in word) for word in words if word)


def read_braille(run: str) -> str:
    """The text; digits follow a number sign."""
    found = []
    is_number = False
    for sign in run:
        if sign == NUMBER_SIGN:
            is_number = True
        elif sign != CAPITAL_SIGN:
            is_number = is_number and sign in BRAILLE_DIGITS
            alphabet = BRAILLE_DIGITS if is_number else BRAILLE
            found.append(alphabet.get(sign, " "))
    return "".join(found)


def read_nato(run: str) -> str:
    """The first letter of each of the alphabet's words."""
    words = re.sub("x-ray", "xray", run.lower()).split()
    return "".join(NATO.get(word, " ") for word in words)


def read_spaced(run: str) -> str:
    """Letters with one sign between them; two or more are between words."""
    separator = run[1]
    between = r"\s{2,}|\s*/\s*|\n"
    if not separator.isspace():
        sign = re.escape(separator)
        between = rf"{sign}?\s+{sign}?"
    return " ".join(re.sub(r"[\s.\-_*|~,/]", "", word) for word in re.split(between, run))


def read_places(run: str) -> str:
    """Letters by their places in the alphabet; the rarer separators stand between words."""
    numbers = PLACE.findall(run)
    between = [sign for _, sign in numbers]
    usual = Counter(between).most_common(1)[0][0]
    return "".join(
        chr(ord("a") + int(number) - 1) + ("" if sign in (usual, "") else " ")
        for number, sign in numbers
    )
