"""Which field of a body is not what belongs there, in the client's words and not a library's."""

from collections.abc import Callable
from typing import Any, NamedTuple, get_type_hints

import msgspec
from msgspec import inspect

NUMBER = "a number"
SORTS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, NUMBER),
    (float, NUMBER),
    (str, "text"),
    (list, "a list"),
    (dict, "an object"),
)
LONGEST_SHOWN = 24
"""Bytes of a number that is repeated as the client wrote it."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
BOUNDLESS = 2**31 - 1
"""From here on a largest number is not worth telling."""


class Misfit(NamedTuple):
    """`field`: None for a body that is no object."""

    field: str | None
    text: str


def misfit_in(body: bytes, kind: type[msgspec.Struct]) -> Misfit:
    """The first field that does not fit, of a body that msgspec refused as `kind`."""
    try:
        given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return Misfit(None, f"the body must be an object, not {_sort(body)}")
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        raw = given.get(field.encode_name)
        if raw is None or _fits(raw, hints[field.name]):
            continue
        wanted = _wanted(inspect.type_info(hints[field.name]))
        return Misfit(field.encode_name, f"{field.encode_name} must be {wanted}, not {_shown(raw)}")
    return Misfit(None, "the body is not what this endpoint takes")


def _fits(raw: msgspec.Raw, hint: Any) -> bool:  # Any: an annotation
    try:
        msgspec.json.decode(raw, type=hint, strict=False)
    except UNREADABLE:
        return False
    return True


def _shown(raw: msgspec.Raw) -> str:
    """A number itself, and of anything else what it is."""
    text = bytes(memoryview(raw))
    sort = _sort(raw)
    if sort == NUMBER and len(text) <= LONGEST_SHOWN:
        return text.decode().strip()
    return sort


def _sort(raw: bytes | msgspec.Raw) -> str:
    try:
        value = msgspec.json.decode(raw)
    except UNREADABLE:
        return "what is no JSON"
    for kind, words in SORTS:
        if isinstance(value, kind):
            return words
    return "nothing"


def _wanted(info: Any) -> str:  # Any: msgspec's descriptions of types
    options = getattr(info, "types", (info,))
    words = [_words(each) for each in options if not isinstance(each, inspect.NoneType)]
    return " or ".join(dict.fromkeys(words))


def _words(info: Any) -> str:  # Any: as above
    for kind, tell in WORDS:
        if isinstance(info, kind):
            return tell(info)
    return "something else"


def _list(info: Any) -> str:  # Any: as above
    inner = _words(info.item_type)
    return "a list" if inner == "something else" else f"a list, each {inner}"


def _number(noun: str) -> Callable[[Any], str]:
    return lambda info: f"{noun}{_bounds(info)}"


def _bounds(info: Any) -> str:  # Any: a description of a number
    has_most = info.le is not None and info.le < BOUNDLESS
    if info.ge is not None and has_most:
        return f" from {info.ge:g} to {info.le:g}"
    if info.ge is not None and info.ge > -BOUNDLESS:
        return f" of at least {info.ge:g}"
    return ""


WORDS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (inspect.BoolType, lambda _: "true or false"),
    (inspect.IntType, _number("a whole number")),
    (inspect.FloatType, _number("a number")),
    (inspect.StrType, lambda _: "text"),
    (inspect.ListType, _list),
    (inspect.DictType, lambda _: "an object"),
    (inspect.StructType, lambda _: "an object"),
)
