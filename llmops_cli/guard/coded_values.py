"""What a short run of letters and digits says, if it is a message in base64, base32 or hex."""

from __future__ import annotations

import re

from llmops_cli.guard.carriers import read_base32, read_base64, read_hex
from llmops_cli.guard.ciphers import CIPHERS

SHORTEST = 8
LONGEST = 8192
CODED = re.compile(r"[A-Za-z0-9+/_=.\- ]+")
HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
DIGITS_LEAST = 16
"""Digits alone are mostly numbers; so many of them may be hex."""
BASE32 = re.compile(r"(?:[a-z2-7]+|[A-Z2-7]+)=*")
BASE64 = re.compile(r"[A-Za-z0-9+/_-]+=*")
TEXT = re.compile(r"[\w \-.,:;@/?!'\"()\[\]{}&=+#$%*|<>\n]+")
LIKELY = re.compile(r"[a-zA-Z0-9 .,@:]")
LIKELY_SHARE = 0.9
LETTERS_SHARE = 0.5
LETTER = re.compile(r"[^\W\d_]")
SURE_LENGTH = 24
"""Characters of base64 that no word of a language reaches."""
LAYERS = 3


def said_by(value: str) -> str | None:
    """The message, through several layers; None if it is none."""
    said = None
    for _ in range(LAYERS):
        inner = _decoded(said or value)
        if inner is None:
            break
        said = inner
    return said


def _decoded(value: str) -> str | None:
    plain = value.strip().rstrip(".")
    if not SHORTEST <= len(plain) <= LONGEST or not CODED.fullmatch(plain):
        return None
    for read in (_of_hex, _of_base32, _of_base64, _of_exchanged):
        said = read(plain)
        if said is not None and _is_text(said):
            return said
    return None


def _of_hex(value: str) -> str | None:
    if not HEX.fullmatch(value) or (value.isdigit() and len(value) < DIGITS_LEAST):
        return None
    return read_hex(value)


def _of_base32(value: str) -> str | None:
    return read_base32(value) if BASE32.fullmatch(value) else None


def _of_base64(value: str) -> str | None:
    return read_base64(value) if BASE64.fullmatch(value) else None


def _of_exchanged(value: str) -> str | None:
    """Base64 with its letters exchanged, or from its end."""
    if len(value) < SURE_LENGTH or not BASE64.fullmatch(value):
        return None
    for name in ("rot13", "reversed"):
        said = read_base64(CIPHERS[name].decode(value))
        if said is not None and _is_text(said):
            return said
    return None


def _is_text(said: str) -> bool:
    if len(said) < 4 or not TEXT.fullmatch(said):
        return False
    likely = len(LIKELY.findall(said))
    letters = len(LETTER.findall(said))
    return likely >= LIKELY_SHARE * len(said) and letters >= LETTERS_SHARE * len(said)
