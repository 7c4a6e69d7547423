"""Ciphers over a whole text: letters exchanged, digits for letters, words turned around."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from functools import lru_cache

import msgspec

ALPHABET = string.ascii_lowercase
EVERY_CASE = ALPHABET + string.ascii_uppercase
SUBSTITUTIONS = 128
"""That are remembered: there are 104."""
LETTERS = len(ALPHABET)
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
KEY_ROWS = ("qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./")
LEET_LETTERS = {
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
LEET = str.maketrans(LEET_LETTERS)
LEET_L = str.maketrans({**LEET_LETTERS, "1": "l", "|": "l", "!": "l"})
L_OR_I = "1|!"
LEET_WORD = (
    r"(?:[A-Za-z][0134579@$!|+]{1,2}[A-Za-z]"
    r"|\b[0134579@$]{1,2}[A-Za-z]{1,3}[0134579@$]?[A-Za-z])"
)
LEET_SIGN = rf"{LEET_WORD}[^\n]*{LEET_WORD}"
PIG_SIGN = r"(?i)(?:\b[a-z]+ay\b\W+){4}"
PIG_WORD = re.compile(r"\b([a-z]+?)([bcdfghjklmnpqrstvwxyz]*)(?:w|y)?ay\b")


class Cipher(msgspec.Struct, frozen=True):
    """Letters exchanged, and perhaps all written backwards: p -> step * p + shift."""

    name: str
    step: int = 1
    shift: int = 0
    backwards: bool = False

    def decode(self, text: str) -> str:
        """What was written; step is its own inverse."""
        said = text.translate(_substitution(self.step, -self.step * self.shift))
        return said[::-1] if self.backwards else said

    def encode(self, text: str) -> str:
        """The text in this cipher."""
        said = text.translate(_substitution(self.step, self.shift))
        return said[::-1] if self.backwards else said


@lru_cache(SUBSTITUTIONS)
def _substitution(step: int, shift: int) -> dict[int, int]:
    """Each letter's place in the alphabet times `step` (1, or -1 as in atbash) plus `shift`."""
    turned = "".join(ALPHABET[(step * place + shift) % LETTERS] for place in range(LETTERS))
    return str.maketrans(EVERY_CASE, turned + turned.upper())


def _ciphers() -> Iterator[Cipher]:
    for backwards in (False, True):
        for shift in range(LETTERS):
            if shift or backwards:
                name = _name(f"rot{shift}" if shift else "", backwards=backwards)
                yield Cipher(name, 1, shift, backwards)
            yield Cipher(_name(_mirrored(shift), backwards=backwards), -1, shift, backwards)


def _mirrored(shift: int) -> str:
    """Atbash, and what the shift makes of it."""
    turn = (shift + 1) % LETTERS
    return f"atbash, rot{turn}" if turn else "atbash"


def _name(exchanged: str, *, backwards: bool) -> str:
    if not backwards:
        return exchanged
    return f"reversed, {exchanged}" if exchanged else "reversed"


class Exchange(msgspec.Struct, frozen=True):
    """Signs exchanged one for one, capitals and punctuation too."""

    name: str
    table: dict[int, int]

    def decode(self, text: str) -> str:
        return text.translate({shown: meant for meant, shown in self.table.items()})

    def encode(self, text: str) -> str:
        return text.translate(self.table)


def _rot47() -> dict[int, int]:
    return {code: 33 + (code + 14) % 94 for code in range(33, 127)}


def _moved(step: int) -> dict[int, int]:
    """Each key's neighbour on a keyboard."""
    found = {}
    for row in KEY_ROWS:
        for place, key in enumerate(row):
            neighbour = row[(place + step) % len(row)]
            found[ord(key)] = ord(neighbour)
    return found


EXCHANGES = {
    exchange.name: exchange
    for exchange in (
        Exchange("rot47", _rot47()),
        Exchange("keys to the right", _moved(1)),
        Exchange("keys to the left", _moved(-1)),
    )
}
CIPHERS = {cipher.name: cipher for cipher in _ciphers()}


def read_pig_latin(text: str) -> str:
    """Words with their beginnings in front again."""
    return PIG_WORD.sub(_unpigged, text.lower())


def _unpigged(found: re.Match[str]) -> str:
    return found[2] + found[1] if found[2] else found[1]


def read_leet(text: str) -> Iterator[str]:
    """Letters for digits; some stand for two letters."""
    yield text.translate(LEET)
    if any(sign in text for sign in L_OR_I):
        yield text.translate(LEET_L)
