"""msgspec's words about a value that does not fit, as a place, a message and the nearest name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.inspect import DictType, ListType, LiteralType, StructType

from llmops_cli.gateway_file.mistake import Mistake, Place, misspelt

_PLACE = re.compile(r" - at `(?:key in )?\$(.*)`$")
_ENUM = re.compile(r"Invalid enum value '([^']*)'")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def mistake_of(said: str, kind: type) -> Mistake:
    """`said` is what msgspec says of a value that is no `kind`."""
    place: Place = ()
    match = _PLACE.search(said)
    if match:
        said = said[: match.start()]
        place = _steps(match[1])
    match = _UNKNOWN.search(said)
    if match:
        field = match[1]
        fields = _fields_at(kind, place)
        return misspelt((*place, field), "field", field, fields)
    match = _ENUM.search(said)
    if match:
        values = _values_at(kind, place)
        return misspelt(place, "value", match[1], values)
    message = said.replace("got `null`", "and nothing stands there")
    return Mistake(place, message.replace("`", ""))


def _steps(path: str) -> Place:
    """`.pool[0].weight` -> pool, 0, weight."""
    steps: list[str | int] = []
    for name, number in _STEP.findall(path):
        if number:
            steps.append(int(number))
        else:
            steps.append(name)
    return tuple(steps)


def _fields_at(kind: type, place: Place) -> list[str]:
    """Names that the struct at a place knows."""
    for option in _types_at(kind, place):
        if isinstance(option, StructType):
            return list(_fields(option))
    return []


def _values_at(kind: type, place: Place) -> list[str]:
    """What a place of fixed values takes."""
    found = list[str]()
    for option in _types_at(kind, place):
        if isinstance(option, LiteralType):
            found += map(str, option.values)
    return found


def _types_at(kind: type, place: Place) -> Iterator[Any]:  # Any: msgspec's descriptions of types
    info = msgspec.inspect.type_info(kind)
    for step in place:
        info = _type_below(info, step)
    return _options(info)


def _options(info: Any) -> Iterator[Any]:  # Any: msgspec's descriptions of types
    """The members of a union, or the one type itself."""
    yield from getattr(info, "types", (info,))


def _type_below(info: Any, step: str | int) -> Any:  # Any: msgspec's descriptions of types
    for option in _options(info):
        if isinstance(option, ListType):
            return option.item_type
        if isinstance(option, DictType):
            return option.value_type
        if isinstance(option, StructType):
            fields = _fields(option)
            name = str(step)
            if name in fields:
                return fields[name]
    return info


def _fields(struct: StructType) -> dict[str, Any]:  # Any: msgspec's descriptions of types
    """Name in the file -> type."""
    return {field.encode_name: field.type for field in struct.fields}
