"""How text on the command line, in the environment or in a recipe becomes a field's value.

Each reader raises Unreadable with what would have been right; `core.resolve` names the field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec


class Unreadable(ValueError):
    """Text that a field's grammar does not know. `example`: one that it does."""

    def __init__(self, what: str, *, example: str) -> None:
        super().__init__(what)
        self.what = what
        self.example = example


def read_share(text: str) -> float:
    """`3%` or `0.03` as 0.03."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        raise Unreadable("not a share", example="3%") from None
    return number / 100 if text.endswith("%") else number


def read_size(text: str) -> int:
    """`6GiB`, `500MB` or a plain number, in bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", text.strip().lower())
    if match is None:
        raise Unreadable("not a size", example="6GiB")
    number, prefix, binary = match.groups()
    base = 1024 if binary else 1000
    power = " kmgt".index(prefix or " ")
    return int(float(number) * base**power)


def read_pairs(texts: str | Sequence[str]) -> dict[str, str]:
    """`key=value` options as a table; dashes in keys are underscores."""
    table = {}
    for text in _each(texts):
        key, equals, value = text.partition("=")
        if not equals:
            raise Unreadable(f"{text} is not key=value", example="key=value")
        table[key.strip().replace("-", "_")] = value.strip()
    return table


def read_json_pairs(texts: str | Sequence[str]) -> dict[str, object]:
    """`key=JSON` fields; what is no JSON is taken as text."""
    fields: dict[str, object] = {}
    for text in _each(texts):
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise Unreadable(f"{text} is not key=JSON", example="top_p=0.9")
        try:
            fields[key.strip()] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            fields[key.strip()] = value
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
