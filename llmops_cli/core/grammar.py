"""How text on the command line, in the environment or in a recipe becomes a field's value.

Each reader raises Unreadable with what would have been right; `core.resolve` names the field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?|b)")
PREFIXES = " kmgt"
SHARE = "a share is a number from 0 to 1, or has a %"


class Unreadable(ValueError):
    """Text that a field's grammar does not know. `example`: one that it does."""

    def __init__(self, what: str, *, example: str) -> None:
        super().__init__(what)
        self.what = what
        self.example = example


def read_share(text: str) -> float:
    """`3%` or `0.03` as 0.03; `3` may be meant as either and is neither."""
    plain = text.strip()
    digits = plain.removesuffix("%")
    try:
        number = float(digits)
    except ValueError:
        raise Unreadable(SHARE, example="3%") from None
    if plain.endswith("%"):
        return number / 100
    if number > 1:
        raise Unreadable(f"{number:g} is {number:.0%}: {SHARE}", example=f"{number:g}%")
    return number


def read_size(text: str) -> int:
    """`6GiB`, `500MB` or `42B`, in bytes; a number alone may be meant as any of them."""
    plain = text.strip().lower()
    match = SIZE.fullmatch(plain)
    if match is None:
        raise Unreadable("a size is a number and its unit", example="6GiB")
    number, prefix, binary = match.groups()
    base = 1024 if binary else 1000
    power = PREFIXES.index(prefix or " ")
    size_bytes = float(number) * base**power
    return int(size_bytes)


def read_pairs(texts: str | Sequence[str]) -> dict[str, str]:
    """`key=value` options as a table; dashes in keys are underscores."""
    table = {}
    for text in _each(texts):
        key, equals, value = text.partition("=")
        if not equals:
            raise Unreadable(f"{text} is not key=value", example="key=value")
        name = key.strip().replace("-", "_")
        table[name] = value.strip()
    return table


def read_json_pairs(texts: str | Sequence[str]) -> dict[str, object]:
    """`key=JSON` fields; what is no JSON is taken as text."""
    fields: dict[str, object] = {}
    for text in _each(texts):
        key, equals, value = text.partition("=")
        name = key.strip()
        if not equals or not name:
            raise Unreadable(f"{text} is not key=JSON", example="top_p=0.9")
        try:
            fields[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            fields[name] = value
    return fields


def _each(texts: str | Sequence[str]) -> Sequence[str]:
    """A JSON object, as the environment has it, is its own pairs."""
    if not isinstance(texts, str):
        return texts
    try:
        loaded = msgspec.json.decode(texts)
    except msgspec.DecodeError:
        return [texts]
    if not isinstance(loaded, dict):
        return [texts]
    return [f"{key}={value}" for key, value in loaded.items()]
