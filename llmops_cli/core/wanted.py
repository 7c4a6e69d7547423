"""What a type wants of a value, and what was given, in the words of who wrote the value."""

from __future__ import annotations

from typing import Any

import msgspec

SHOWN_CHARS = 40
BOUNDLESS = 2**53 - 1
"""The largest whole number that JSON carries exactly: told as no bound at all."""


def wanted_of(kind: object) -> str:
    """`a whole number from 1 to 20,000`, `one of block, flag`, `text`."""
    from msgspec import inspect

    info = inspect.type_info(kind)
    options = getattr(info, "types", (info,))
    words = [_words(option) for option in options if not isinstance(option, inspect.NoneType)]
    told = list(dict.fromkeys(words))
    return " or ".join(told)


def _words(info: Any) -> str:  # Any: msgspec's descriptions of types
    from msgspec import inspect

    if isinstance(info, inspect.IntType):
        return f"a whole number{_bounds(info)}"
    if isinstance(info, inspect.FloatType):
        return f"a number{_bounds(info)}"
    if isinstance(info, inspect.StrType):
        return f"text{_length(info, 'characters')}"
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, inspect.LiteralType):
        values = ", ".join(map(str, info.values))
        return f"one of {values}"
    return _many(info)


def _many(info: Any) -> str:  # Any: msgspec's descriptions of types
    from msgspec import inspect

    if isinstance(info, inspect.TupleType):
        return f"a list of {len(info.item_types)}"
    if isinstance(info, inspect.CollectionType):
        return f"a list{_length(info, 'entries')}"
    if isinstance(info, inspect.DictType | inspect.StructType | inspect.TypedDictType):
        return "a mapping of names to values"
    return "another kind of value"


def _bounds(info: Any) -> str:  # Any: an IntType or a FloatType
    least = info.ge
    most = info.le if info.le is None or info.le < BOUNDLESS else None
    if least is not None and most is not None:
        return f" from {_number(least)} to {_number(most)}"
    told = ""
    if info.gt is not None:
        told += f" above {_number(info.gt)}"
    if least is not None:
        told += f" of at least {_number(least)}"
    if most is not None:
        joined = " and at" if told else " of at"
        told += f"{joined} most {_number(most)}"
    if info.lt is not None:
        told += f" below {_number(info.lt)}"
    return told


def _length(info: Any, unit: str) -> str:  # Any: what may have a length
    least = getattr(info, "min_length", None)
    most = getattr(info, "max_length", None)
    if least and most is not None:
        return f" of {least:,} to {most:,} {unit}"
    if least:
        return f" of at least {least:,} {unit}"
    if most is not None:
        return f" of at most {most:,} {unit}"
    return ""


def _number(bound: float) -> str:
    if bound == int(bound):
        return f"{int(bound):,}"
    return f"{bound:g}"


def given_of(value: object) -> str:
    """The value where it is short and no text of somebody's, else what it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.15g}" if isinstance(value, float) else _whole(value)
    if isinstance(value, str):
        return repr(value) if len(value) <= SHOWN_CHARS else f"{len(value):,} characters of text"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    return sort_of(value)


def _whole(value: int) -> str:
    """A number of thousands of digits cannot even be written."""
    return str(value) if value.bit_length() < 128 else "a number that long"


def sort_of(value: object) -> str:
    """What a value is, where the value itself is not to be shown."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict | msgspec.Struct):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"
