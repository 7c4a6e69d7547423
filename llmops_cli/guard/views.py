"""What a text says once decoded: carriers that hold a message (base64, hex, Morse, ...) and ciphers
over all of it.

One layer at a time; the detector asks again for what it got, two layers deep. Every pattern here is
linear, every candidate is decoded once, so time grows with the text alone.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from urllib.parse import unquote

import msgspec
import re2

PRINTABLE = 0.9
BASE85_MOST = 2000
"""Characters: Python's decoder is slow, and long runs without frame are something else."""
MOST = 32
"""Segments of one kind that are looked at in a layer; a text with more of them is cut into that
many.
"""


class View(msgspec.Struct, frozen=True):
    """`text` as `name` says it; `span` is where it stood in the text that was decoded. A view that
    was `glued` has lost the spaces between its words.
    """

    name: str
    text: str
    span: tuple[int, int]
    glued: bool = False


def _readable(raw: bytes) -> str | None:
    """UTF-8 (or UTF-16) text that is mostly printable; None for other bytes."""
    wide = raw.count(0) > len(raw) // 3
    for encoding in ("utf-8", "utf-16-le") if wide else ("utf-8",):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        seen = sum(
            char.isprintable() or char in "\n\r\t" or unicodedata.category(char) == "Cf"
            for char in text[:512]
        )
        if text.strip() and seen >= PRINTABLE * len(text[:512]):
            return text
    return None


def _base64(run: str) -> str | None:
    plain = re.sub(r"[\s\\]+", "", run).strip("=").replace("-", "+").replace("_", "/")
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    try:
        return _readable(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _base32(run: str) -> str | None:
    plain = re.sub(r"\s+", "", run).strip("=").upper()
    while len(plain) % 8 in (1, 3, 6):
        plain = plain[:-1]
    try:
        return _readable(base64.b32decode(plain + "=" * (-len(plain) % 8)))
    except (binascii.Error, ValueError):
        return None


def _hex(run: str) -> str | None:
    digits = re.sub(r"0x|\\x|[\s:,\-]", "", run)
    if not digits or not all(char in string.hexdigits for char in digits):
        return None
    return _readable(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _base85(run: str) -> str | None:
    framed = run.startswith("<~")
    if not framed and (len(run) > BASE85_MOST or run.replace("/", "").replace("+", "").isalnum()):
        return None
    for decode in (base64.a85decode,) if framed else (base64.b85decode, base64.a85decode):
        try:
            found = _readable(decode(run.removeprefix("<~").removesuffix("~>").encode()))
        except ValueError:
            continue
        if found and sum(char.isalpha() or char == " " for char in found) > 0.8 * len(found):
            return found
    return None


def _binary(run: str) -> str | None:
    bits = re.sub(r"\D", "", run)
    return _readable(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8)))


def _codes(base: int) -> Callable[[str], str | None]:
    def decode(run: str) -> str | None:
        values = [int(code, base) for code in re.findall(r"\d+", run)]
        return _readable(bytes(values)) if all(value < 256 for value in values) else None

    return decode


MORSE = {
    code: char
    for char, code in zip(
        "abcdefghijklmnopqrstuvwxyz0123456789.,?!'\":;/-()@=+",
        (
            ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- "
            "-.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- --..-- ..--.. -.-.-- "
            ".----. .-..-. ---... -.-.-. -..-. -....- -.--. -.--.- .--.-. -...- .-.-."
        ).split(),
        strict=True,
    )
}
MORSE_SIGNS = str.maketrans("–—−_•·∙․", "----....")  # noqa: RUF001 - what people type for dots and dashes


def _morse(run: str) -> str | None:
    words = [word.split() for word in re.split(r"[/|\n]+|\s{2,}", run.translate(MORSE_SIGNS))]
    letters = [letter for word in words for letter in word]
    known = sum(letter in MORSE for letter in letters)
    if known < 0.9 * len(letters) or known < 4:
        return None
    return " ".join("".join(MORSE.get(letter, "") for letter in word) for word in words if word)


BRAILLE = dict(
    zip("⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵⠀⠂⠆⠲⠦⠖⠤⠄", "abcdefghijklmnopqrstuvwxyz ,;.?!-'", strict=True)
)
BRAILLE_DIGITS = dict(zip("⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚", "1234567890", strict=True))


def _braille(run: str) -> str:
    found = []
    number = False
    for sign in run:
        if sign == "⠼":
            number = True
        elif sign != "⠠":
            number = number and sign in BRAILLE_DIGITS
            found.append((BRAILLE_DIGITS if number else BRAILLE).get(sign, " "))
    return "".join(found)


NATO = {
    word: word[0]
    for word in (
        "alfa alpha bravo charlie delta echo foxtrot golf hotel india juliett juliet kilo lima mike november "
        "oscar papa quebec romeo sierra tango uniform victor whiskey whisky xray yankee zulu"
    ).split()
}


def _nato(run: str) -> str:
    return "".join(NATO.get(word, " ") for word in re.sub("x-ray", "xray", run.lower()).split())


def _spaced(run: str) -> str:
    """Letters with one sign between them; two or more are between words."""
    separator = run[1]
    words = re.split(
        r"\s{2,}|\s*/\s*|\n"
        if separator.isspace()
        else re.escape(separator) + r"?\s+" + re.escape(separator) + "?",
        run,
    )
    return " ".join(re.sub(r"[\s.\-_*|~,]", "", word) for word in words)


def _escapes(run: str) -> str:
    return re.sub(
        r"\\u\{?([0-9a-fA-F]{4,6})\}?|\\x([0-9a-fA-F]{2})",
        lambda found: chr(min(int(found[1] or found[2], 16), 0x10FFFF)),
        run,
    )


def _quoted_printable(run: str) -> str | None:
    return _readable(binascii.a2b_qp(run.encode()))


class Carrier(msgspec.Struct, frozen=True):
    """How a message is carried: what gives it away to one scan over the text, where it is, what it
    says.
    """

    name: str
    sign: str
    pattern: str
    decode: Callable[[str], str | None]
    glued: bool = False


CARRIERS = (
    Carrier(
        "base64", r"[A-Za-z0-9+/_-]{16}", r"={0,6}(?:[A-Za-z0-9+/_-]{16,}\s{0,2})+={0,6}", _base64
    ),
    Carrier("base32", r"[A-Z2-7]{16}|[a-z2-7]{24}", r"[A-Z2-7]{16,}=*|[a-z2-7]{24,}=*", _base32),
    Carrier(
        "hex",
        r"(?:[0-9a-fA-F]{2}[\s:,\-]?(?:0x|\\x)?){8}",
        r"(?:0x|\\x)?(?:[0-9a-fA-F]{2}[\s:,\-]{0,2}(?:0x|\\x)?){8,}",
        _hex,
    ),
    Carrier("binary", r"(?:[01]{8}[\s,]?){4}", r"(?:[01]{8}[\s,]{0,2}){4,}", _binary),
    Carrier(
        "decimal codes",
        r"(?:\d{2,3}[\s,;]{1,2}){8}",
        r"(?:\d{2,3}[\s,;]{1,2}){8,}\d{2,3}",
        _codes(10),
    ),
    Carrier(
        "octal codes",
        r"(?:[01][0-7]{2}[\s,;\\]{1,2}){8}",
        r"(?:[01][0-7]{2}[\s,;\\]{1,2}){8,}[01][0-7]{2}",
        _codes(8),
    ),
    Carrier("ascii85", r"<~[!-u\s]{10}", r"<~[!-u\s]{10,}?~>", _base85),
    Carrier("base85", r"[!-~]{24}", r"[!-~]{24,}", _base85),
    Carrier(
        "url",
        r"(?:%[0-9a-fA-F]{2}[^%\n]*){3}",
        r"(?:[^%\n]{0,24}%[0-9a-fA-F]{2}){3,}[^%\n]{0,64}",
        unquote,
    ),
    Carrier(
        "html",
        r"(?:&#?\w+;[^&\n]*){2}",
        r"(?:[^&\n]{0,24}&#?\w{2,8};){2,}[^&\n]{0,64}",
        html.unescape,
    ),
    Carrier(
        "escapes",
        r"(?:\\u\{?[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2})[^\n]*\\[ux]",
        r"(?:[^\\\n]{0,24}\\(?:u\{?[0-9a-fA-F]{4,6}\}?|x[0-9a-fA-F]{2})){3,}[^\\\n]{0,64}",
        _escapes,
    ),
    Carrier(
        "quoted-printable",
        r"(?:=[0-9A-F]{2}[^=\n]*){3}",
        r"(?:[^=\n]{0,24}=[0-9A-F]{2}){3,}[^=\n]{0,64}",
        _quoted_printable,
    ),
    Carrier(
        "morse",
        r"(?:[.\-–—−_•·∙․]{1,7}[ /|]{1,3}){5}",
        r"(?:[.\-–—−_•·∙․]{1,7}[ /|\n]{1,3}){5,}[.\-–—−_•·∙․]{0,7}",
        _morse,
    ),  # noqa: RUF001
    Carrier("braille", r"[⠀-⣿]{4}", r"[⠀-⣿][⠀-⣿ \n]{3,}", _braille),
    Carrier(
        "nato",
        r"(?i)\b(?:alfa|alpha|bravo|charlie|delta|echo|foxtrot|golf|hotel|india|juliett?|kilo|lima|mike|november|oscar|papa|quebec|romeo|sierra|tango|uniform|victor|whiske?y|x-?ray|yankee|zulu)\W+(?:alfa|alpha|bravo|charlie|delta|echo|foxtrot|golf|hotel|india|juliett?|kilo|lima|mike|november|oscar|papa|quebec|romeo|sierra|tango|uniform|victor|whiske?y|x-?ray|yankee|zulu)\b",
        r"(?i)[a-z][a-z \-,.\n]{20,}",
        _nato,
        glued=True,
    ),
    Carrier(
        "spaced",
        r"(?:^|[^\w])(?:\w[ .\-_*|~,\t\n]{1,3}){6}\w(?:[^\w]|$)",
        r"(?<!\w)\w[ .\-_*|~,\t](?:\w[ .\-_*|~,\t\n/]{1,3}){4,}\w(?!\w)",
        _spaced,
        glued=True,
    ),
)

ALPHABET = string.ascii_lowercase
LOWER = str.maketrans(string.ascii_uppercase, ALPHABET)
EVERY_CASE = ALPHABET + string.ascii_uppercase


def _pig_latin(text: str) -> str:
    return re.sub(
        r"\b([a-z]+?)([bcdfghjklmnpqrstvwxyz]*)(?:w|y)?ay\b",
        lambda m: (m[2] + m[1]) if m[2] else m[1],
        text.lower(),
    )


def _substitution(step: int, shift: int) -> dict[int, int]:
    """Each letter's place in the alphabet times `step` (1, or -1 as in atbash) plus `shift`."""
    turned = "".join(ALPHABET[(step * place + shift) % 26] for place in range(26))
    return str.maketrans(EVERY_CASE, turned + turned.upper())


class Cipher(msgspec.Struct, frozen=True):
    """A cipher over a whole text: letters exchanged, and perhaps all written backwards."""

    name: str
    step: int = 1
    shift: int = 0
    backwards: bool = False

    def decode(self, text: str) -> str:
        """Of p -> step * p + shift; step is its own inverse."""
        said = text.translate(_substitution(self.step, -self.step * self.shift))
        return said[::-1] if self.backwards else said

    def encode(self, text: str) -> str:
        said = text.translate(_substitution(self.step, self.shift))
        return said[::-1] if self.backwards else said


def _ciphers() -> Iterator[Cipher]:
    for backwards in (False, True):
        for shift in range(26):
            name = f"rot{shift}" if shift else ""
            mirrored = "atbash" if shift == 25 else f"atbash, rot{(shift + 1) % 26}"
            if name or backwards:
                yield Cipher(
                    ", ".join(filter(None, ("reversed" * backwards, name))), 1, shift, backwards
                )
            yield Cipher(
                ", ".join(filter(None, ("reversed" * backwards, mirrored))), -1, shift, backwards
            )


CIPHERS = {cipher.name: cipher for cipher in _ciphers()}
ANCHORS = (
    "ignore",
    "disregard",
    "forget",
    "override",
    "bypass",
    "instructions",
    "previous",
    "system",
    "prompt",
    "restrictions",
    "guidelines",
    "unfiltered",
    "jailbreak",
    "pretend",
    "password",
    "reveal",
    "repeat",
    "developer",
    "confidential",
    "directives",
    "anything",
    "without",
    "secret",
    "character",
)
"""Every attack phrase has one of these words, or nearly so: what a cipher makes of them tells that
it was used.
"""
LEET = str.maketrans(
    {
        "0": "o",
        "1": "i",
        "3": "e",
        "4": "a",
        "5": "s",
        "7": "t",
        "8": "b",
        "9": "g",
        "@": "a",
        "$": "s",
        "!": "i",
        "|": "i",
        "+": "t",
        "€": "e",
        "£": "l",
        "¡": "i",
    }
)
LEET_L = {**LEET, ord("1"): "l", ord("|"): "l", ord("!"): "l"}
LEET_WORD = (
    r"(?:[A-Za-z][0134579@$!|+]{1,2}[A-Za-z]|\b[0134579@$]{1,2}[A-Za-z]{1,3}[0134579@$]?[A-Za-z])"
)
LEET_SIGN = rf"{LEET_WORD}[^\n]*{LEET_WORD}"
ANCHOR_LEAST = 6
JOINED_SIGN = r"[\"'“”][^\"'“”\n]+[\"'“”][^\n]*[\"'“”]"
PIG_SIGN = r"(?i)(?:\b[a-z]+ay\b\W+){4}"


class _Signs:
    """Automata over everything that gives a carrier or a cipher away."""

    def __init__(self) -> None:
        self.patterns = {carrier.name: re.compile(carrier.pattern) for carrier in CARRIERS}
        self._carriers, self._carrier_names = _set(
            [(carrier.sign, carrier.name) for carrier in CARRIERS]
            + [(LEET_SIGN, "leet"), (PIG_SIGN, "pig latin"), (JOINED_SIGN, "joined")]
        )
        words = [anchor for anchor in ANCHORS if len(anchor) >= ANCHOR_LEAST]
        self._ciphers, self._cipher_names = _set(
            [
                ("|".join(cipher.encode(word) for word in words), name)
                for name, cipher in CIPHERS.items()
            ]
        )

    def of(self, text: str) -> list[str]:
        carried = [self._carrier_names[index] for index in sorted(self._carriers.Match(text) or ())]
        lower = (text if text.isascii() else text.lower()).translate(LOWER)
        return carried + [
            self._cipher_names[index] for index in sorted(self._ciphers.Match(lower) or ())
        ]


def _set(pairs: list[tuple[str, str]]) -> tuple[re2.Set, list[str]]:
    options = re2.Options()
    options.max_mem = 16 << 20
    options.log_errors = False
    found = re2.Set.SearchSet(options)
    for pattern, _ in pairs:
        found.Add(pattern)
    found.Compile()
    return found, [name for _, name in pairs]


@cache
def _signs() -> _Signs:
    return _Signs()


BY_NAME = {carrier.name: carrier for carrier in CARRIERS}


def views_of(text: str) -> Iterator[View]:
    """Every reading of the text, one layer deep."""
    signs = _signs()
    for name in signs.of(text):
        if name in BY_NAME:
            yield from _carried(BY_NAME[name], signs.patterns[name], text)
        elif name in CIPHERS:
            yield View(name, CIPHERS[name].decode(text), (0, len(text)))
        elif name == "leet":
            yield View("leet", text.translate(LEET), (0, len(text)))
            if any(sign in text for sign in "1|!"):
                yield View("leet", text.translate(LEET_L), (0, len(text)))
        elif name == "pig latin":
            yield View(name, _pig_latin(text), (0, len(text)))
        elif name == "joined":
            yield from _joined(text)


def _carried(carrier: Carrier, pattern: re.Pattern[str], text: str) -> Iterator[View]:
    for number, found in enumerate(pattern.finditer(text)):
        if number >= MOST:
            break
        said = carrier.decode(found[0])
        name = carrier.name
        if said is None and name == "base64":
            name, said = _disguised(found[0])
        if said and said != found[0]:
            yield View(name, said, found.span(), carrier.glued)


def _disguised(run: str) -> tuple[str, str | None]:
    """A run that is base64, base32 or hex once its letters are exchanged, or read from the end."""
    for name in ("rot13", "atbash", "reversed"):
        plain = CIPHERS[name].decode(run)
        for inner, decode in (("base64", _base64), ("base32", _base32), ("hex", _hex)):
            if said := decode(plain):
                return f"{name}, {inner}", said
    return "", None


def _joined(text: str) -> Iterator[View]:
    """Pieces in quotation marks, put together: payloads that were split."""
    pieces = re.findall(r"[\"“]([^\"“”\n]{1,200})[\"”]|'([^'\n]{1,200})'", text)
    parts = [first or second for first, second in pieces]
    if 2 <= len(parts) <= 64:
        yield View("joined", "".join(parts), (0, len(text)))
