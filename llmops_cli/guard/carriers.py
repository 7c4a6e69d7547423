"""Carriers of a message within a text: base64, hex, codes, escapes, other alphabets.

Every pattern here is linear, every candidate is decoded once, so time grows with the text alone.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
import zlib
from collections.abc import Callable

import msgspec

from llmops_cli.guard.signs import DIGITS, Least
from llmops_cli.guard.writing import (
    read_braille,
    read_morse,
    read_nato,
    read_places,
    read_spaced,
)

Decode = Callable[[str], str | None]
"""What a run of characters says; None if it is no message."""

PRINTABLE_SHARE = 0.9
WORDS_SHARE = 0.8
LOOKED_AT = 512
"""Characters of a decoded text that tell whether it is one."""
SAMPLE = 16
"""Characters of a run that are decoded before all of it is: whole octets in each of its forms."""
SAMPLE_85 = 20
"""The same where five characters are four octets."""
BASE32 = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789abcdefghijklmnopqrstuv")
"""To the digits that int() reads."""
BASE32_RUN = re.compile("[A-Z2-7]*")
BASE85_MOST = 2000
"""Characters: Python's decoder is slow, and long runs without frame are something else."""
WORDS_OF_ADDRESSES = re.compile(
    r"\s*+(?:(?:[A-Z]?[a-z]{3,}+[-_/]{0,2}+|[0-9]{1,4}+[-_/]{1,2}+))++\s*+", re.ASCII
)
"""A long word, names put together, a path: in what base64 says a capital is alone."""
ADDRESS = "://"
PACKED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""How what gzip or zlib packed begins."""
EITHER_FORM = zlib.MAX_WBITS | 32
UNPACKED_MOST = 16_384
CODE_POINTS = 0x10FFFF
PERCENT = re.compile("(?:%[0-9a-fA-F]{2})+")
ESCAPE = re.compile(r"\\u\{?([0-9a-fA-F]{4,6})\}?|\\x([0-9a-fA-F]{2})")
MORSE_SIGNS = ".-–—−_•·∙․"  # noqa: RUF001
MORSE_SIGN = f"[{re.escape(MORSE_SIGNS)}]"
NATO_WORD = (
    r"(?:alfa|alpha|bravo|charlie|delta|echo|foxtrot|golf|hotel|india|juliett?|kilo|lima|mike"
    r"|november|oscar|papa|quebec|romeo|sierra|tango|uniform|victor|whiske?y|x-?ray|yankee|zulu)"
)
PLACE = "(?:1[0-9]|2[0-6]|[1-9])"
BETWEEN_LETTERS = r"[ .\-_*|~,/\t]"


class Carrier(msgspec.Struct, frozen=True, kw_only=True):
    """What gives a carrier away to one scan over the text, where it is, what it says.

    A message that was `glued` has lost the spaces between its words. `least` says what a text with
    the sign has at least, which is cheaper to see.
    """

    name: str
    sign: str
    pattern: str
    decode: Decode
    glued: bool = False
    least: Least = Least()


def read_base64(run: str) -> str | None:
    """Standard or URL-safe, padded or not."""
    plain = re.sub(r"[\s\\]+", "", run).strip("=").replace("-", "+").replace("_", "/")
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    return _sampled(_octets_of_base64, plain)


def _octets_of_base64(plain: str) -> bytes:
    padding = "=" * (-len(plain) % 4)
    return base64.b64decode(plain + padding, validate=True)


def read_base32(run: str) -> str | None:
    """Any case, padded or not."""
    plain = re.sub(r"\s+", "", run).strip("=").upper()
    while len(plain) % 8 in (1, 3, 6):
        plain = plain[:-1]
    if not BASE32_RUN.fullmatch(plain):
        return None
    return _sampled(_octets_of_base32, plain)


def _octets_of_base32(plain: str) -> bytes:
    """As one number, which is ten times faster than base64.b32decode."""
    spare = len(plain) * 5 % 8
    value = int(plain.translate(BASE32) or "0", 32) >> spare
    return value.to_bytes(len(plain) * 5 // 8, "big")


def read_hex(run: str) -> str | None:
    """Pairs of digits, with or without signs between."""
    digits = re.sub(r"0x|\\x|[\s:,\-]", "", run)
    whole = len(digits) // 2 * 2
    return _sampled(bytes.fromhex, digits[:whole])


def _base85(run: str) -> str | None:
    if ADDRESS in run:
        return None
    is_framed = run.startswith("<~")
    if not is_framed and (
        len(run) > BASE85_MOST or run.replace("/", "").replace("+", "").isalnum()
    ):
        return None
    decoders: tuple[Callable[[bytes], bytes], ...] = (base64.b85decode, base64.a85decode)
    if is_framed:
        decoders = (base64.a85decode,)
    body = run.removeprefix("<~").removesuffix("~>").encode()
    for decode in decoders:
        try:
            if not _may_be_readable(decode(body[:SAMPLE_85])):
                continue
            found = _readable(decode(body))
        except ValueError:
            continue
        if found and sum(char.isalpha() or char == " " for char in found) > WORDS_SHARE * len(
            found
        ):
            return found
    return None


def _binary(run: str) -> str | None:
    bits = re.sub(r"\D", "", run)
    count = len(bits) // 8
    return _readable(int(bits[: 8 * count], 2).to_bytes(count, "big"))


def _decimal(run: str) -> str | None:
    return _codes(run, 10)


def _octal(run: str) -> str | None:
    return _codes(run, 8)


def _codes(run: str, base: int) -> str | None:
    values = [int(code, base) for code in re.findall(r"\d+", run)]
    return _readable(bytes(values)) if max(values) < 256 else None


def _percent(run: str) -> str:
    return PERCENT.sub(_unquoted, run)


def _unquoted(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace")


def _escapes(run: str) -> str:
    return ESCAPE.sub(_escaped, run)


def _escaped(found: re.Match[str]) -> str:
    return chr(min(int(found[1] or found[2], 16), CODE_POINTS))


def _quoted_printable(run: str) -> str | None:
    return _readable(binascii.a2b_qp(run.encode()))


def _sampled(decode: Callable[[str], bytes], run: str) -> str | None:
    """What a run says. Its beginning tells for nearly all that say nothing.

    `decode` raises ValueError.
    """
    try:
        if len(run) > SAMPLE and not _may_be_readable(decode(run[:SAMPLE])):
            return None
        return _readable(decode(run))
    except ValueError:
        return None


def _may_be_readable(beginning: bytes) -> bool:
    """Whether it is the beginning of UTF-8 or of something packed, or has zeros as UTF-16 has."""
    if beginning[:2] in PACKED:
        return True
    try:
        beginning.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end == len(beginning) or 0 in beginning
    return True


def _readable(raw: bytes) -> str | None:
    """UTF-8 (or UTF-16) text that is mostly printable; None for other bytes."""
    if raw[:2] in PACKED:
        raw = _unpacked(raw)
    is_wide = raw.count(0) > len(raw) // 3
    for encoding in ("utf-8", "utf-16-le") if is_wide else ("utf-8",):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        head = text[:LOOKED_AT]
        seen = sum(map(_is_seen, head))
        if text.strip() and seen >= PRINTABLE_SHARE * len(head):
            return text
    return None


def _unpacked(raw: bytes) -> bytes:
    """The beginning of what gzip or zlib packed."""
    try:
        return zlib.decompressobj(wbits=EITHER_FORM).decompress(raw, UNPACKED_MOST)
    except zlib.error:
        return raw


def _is_seen(char: str) -> bool:
    return char.isprintable() or char in "\n\r\t" or unicodedata.category(char) == "Cf"


CARRIERS = (
    Carrier(
        name="base64",
        sign=r"[A-Za-z0-9+/_-]{16}",
        pattern=r"(?<![A-Za-z0-9+/_-])={0,6}(?:[A-Za-z0-9+/_-]{16,}\s{0,2})+={0,6}",
        decode=read_base64,
    ),
    Carrier(
        name="base32",
        sign=r"[A-Z2-7]{16}|[a-z2-7]{24}",
        pattern=r"[A-Z2-7]{16,}=*|[a-z2-7]{24,}=*",
        decode=read_base32,
    ),
    Carrier(
        name="hex",
        sign=r"(?:[0-9a-fA-F]{2}[\s:,\-]?(?:0x|\\x)?){8}",
        pattern=r"(?:0x|\\x)?(?:[0-9a-fA-F]{2}[\s:,\-]{0,2}(?:0x|\\x)?){8,}",
        decode=read_hex,
        least=Least(marks=DIGITS, count=4),
    ),
    Carrier(
        name="binary",
        sign=r"(?:[01]{8}[\s,]?){4}",
        pattern=r"(?:[01]{8}[\s,]{0,2}){4,}",
        decode=_binary,
        least=Least(marks=DIGITS, count=32),
    ),
    Carrier(
        name="decimal codes",
        sign=r"(?:\d{2,3}[\s,;.:|/\\_+-]{1,3}){8}",
        pattern=r"(?:\d{2,3}[\s,;.:|/\\_+-]{1,3}){8,}\d{2,3}",
        decode=_decimal,
        least=Least(marks=DIGITS, count=16),
    ),
    Carrier(
        name="places in the alphabet",
        sign=rf"(?:^|[^\d])(?:{PLACE}[-., /|]{{1,3}}){{8}}",
        pattern=rf"(?<!\d)(?:{PLACE}[-., /|\n]{{1,3}}){{8,}}{PLACE}(?!\d)",
        decode=read_places,
        least=Least(marks=DIGITS, count=8),
    ),
    Carrier(
        name="octal codes",
        sign=r"(?:[01][0-7]{2}[\s,;\\]{1,2}){8}",
        pattern=r"(?:[01][0-7]{2}[\s,;\\]{1,2}){8,}[01][0-7]{2}",
        decode=_octal,
        least=Least(marks=DIGITS, count=24),
    ),
    Carrier(
        name="ascii85",
        sign=r"<~[!-u\s]{10}",
        pattern=r"<~[!-u\s]{10,}?~>",
        decode=_base85,
        least=Least(marks=("<~",), count=1),
    ),
    Carrier(
        name="base85",
        sign=r"[!-~]{24}",
        pattern=r"(?<![!-~])[!-~]{24,}",
        decode=_base85,
    ),
    Carrier(
        name="url",
        sign=r"(?:%[0-9a-fA-F]{2}[^%\n]*){3}",
        pattern=r"(?:[^%\n]{0,24}%[0-9a-fA-F]{2}){3,}[^%\n]{0,64}",
        decode=_percent,
        least=Least(marks=("%",), count=3),
    ),
    Carrier(
        name="html",
        sign=r"(?:&#?\w+;[^&\n]*){2}",
        pattern=r"(?:[^&\n]{0,24}&#?\w{2,8};){2,}[^&\n]{0,64}",
        decode=html.unescape,
        least=Least(marks=("&",), count=2),
    ),
    Carrier(
        name="escapes",
        sign=r"(?:\\u\{?[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2})[^\n]*\\[ux]",
        pattern=(
            r"(?:[^\\\n]{0,24}\\(?:u\{?[0-9a-fA-F]{4,6}\}?|x[0-9a-fA-F]{2})){3,}[^\\\n]{0,64}"
        ),
        decode=_escapes,
        least=Least(marks=("\\",), count=2),
    ),
    Carrier(
        name="quoted-printable",
        sign=r"(?:=[0-9A-F]{2}[^=\n]*){3}",
        pattern=r"(?:[^=\n]{0,24}=[0-9A-F]{2}){3,}[^=\n]{0,64}",
        decode=_quoted_printable,
        least=Least(marks=("=",), count=3),
    ),
    Carrier(
        name="morse",
        sign=rf"(?:{MORSE_SIGN}{{1,7}}[ /|]{{1,3}}){{5}}",
        pattern=rf"(?:{MORSE_SIGN}{{1,7}}[ /|\n]{{1,3}}){{5,}}{MORSE_SIGN}{{0,7}}",
        decode=read_morse,
        least=Least(marks=tuple(MORSE_SIGNS), count=5),
    ),
    Carrier(
        name="braille",
        sign=r"[⠀-⣿]{4}",
        pattern=r"[⠀-⣿][⠀-⣿ \n]{3,}",
        decode=read_braille,
        least=Least(ascii_only=False),
    ),
    Carrier(
        name="nato",
        sign=rf"(?i)\b{NATO_WORD}\W+{NATO_WORD}\b",
        pattern=r"(?i)[a-z][a-z \-,.\n]{20,}",
        decode=read_nato,
        glued=True,
    ),
    Carrier(
        name="spaced",
        sign=r"(?:^|[^\w])(?:\w[ .\-_*|~,/\t\n]{1,3}){6}\w(?:[^\w]|$)",
        pattern=rf"(?<!\w)\w{BETWEEN_LETTERS}(?:\w[ .\-_*|~,\t\n/]{{1,3}}){{4,}}\w(?!\w)",
        decode=read_spaced,
        glued=True,
    ),
)
BY_NAME = {carrier.name: carrier for carrier in CARRIERS}
