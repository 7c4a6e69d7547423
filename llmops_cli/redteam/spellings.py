"""A message in other spellings that people still read: letters swapped, capitals, noise."""

from __future__ import annotations

import random

SCRAMBLED_SHARE = 0.6
CAPITALS_SHARE = 0.6
NOISE_SHARE = 0.06
"""The source's rates: of words, of letters, of letters."""
LEAST_SCRAMBLED_CHARS = 4


def misspelled(text: str, chance: random.Random) -> str:
    """Source: best-of-N jailbreaking, arXiv:2412.03556, section 2."""
    words = [_scrambled(word, chance) for word in text.split(" ")]
    chars = [_noised(char, chance) for char in " ".join(words)]
    return "".join(chars)


def _scrambled(word: str, chance: random.Random) -> str:
    """The letters between the first and the last in another order."""
    if len(word) < LEAST_SCRAMBLED_CHARS or chance.random() > SCRAMBLED_SHARE:
        return word
    middle = list(word[1:-1])
    chance.shuffle(middle)
    return word[0] + "".join(middle) + word[-1]


def _noised(char: str, chance: random.Random) -> str:
    if chance.random() < CAPITALS_SHARE:
        char = char.upper() if chance.random() < 0.5 else char.lower()
    is_plain = char.isascii() and char.isalnum()
    if is_plain and chance.random() < NOISE_SHARE:
        moved = chr(ord(char) + chance.choice((-1, 1)))
        return moved if moved.isalnum() else char
    return char
