"""Where a value does not fit its type, and what would: in the user's words, never msgspec's.

msgspec tells a misfit as a sentence about its own types. The place is found here by trying the
value's parts against the type's parts, so nothing hangs on how that sentence is worded.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from llmops_cli.core.errors import nearest_name
from llmops_cli.core.fields import NONE, choices_of, plain_type
from llmops_cli.core.wanted import given_of, sort_of, wanted_of

Place = tuple[str | int, ...]
"""Steps from the top: keys of mappings, and numbers of items."""


class Misfit(NamedTuple):
    """`place` from the value's top; `wanted`, for example `must be a whole number`."""

    place: Place
    wanted: str
    given: str = ""
    hint: str | None = None

    @property
    def message(self) -> str:
        """Without the place."""
        if not self.given:
            return self.wanted
        return f"{self.wanted}, {self.given}"

    @property
    def told(self) -> str:
        """With the place, as `limits.key.streams: must be ..., not 0`."""
        if not self.place:
            return self.message
        return f"{path_of(self.place)}: {self.message}"


class _Part(NamedTuple):
    step: str | int
    value: object
    kind: object


def misfit_of(
    value: object,
    kind: Any,  # Any: an annotation
    *,
    strict: bool = True,
    shows_values: bool = True,
) -> Misfit | None:
    """The first place where the value is no `kind`; None where it fits.

    `shows_values`: a value of another's, such as a request's, is not repeated.
    """
    if _fits(value, kind, strict=strict):
        return None
    for part in _parts(value, kind):
        inner = misfit_of(part.value, part.kind, strict=strict, shows_values=shows_values)
        if inner is not None:
            return inner._replace(place=(part.step, *inner.place))
    return _here(value, kind, shows_values=shows_values)


def path_of(place: Place) -> str:
    """`pool.0.weight` as `pool[0].weight`."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}"
    return text.removeprefix(".")


def _fits(value: object, kind: Any, *, strict: bool) -> bool:  # Any: an annotation
    try:
        msgspec.convert(value, kind, strict=strict)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


def _here(value: object, kind: object, *, shows_values: bool) -> Misfit:
    """What is wrong with the value itself, all of whose parts fit."""
    struct = _struct_of(kind)
    if struct is not None and isinstance(value, dict):
        return _of_fields(value, struct)
    choices = choices_of(kind)
    if choices and isinstance(value, str):
        told = f"unknown value {given_of(value)}" if shows_values else "unknown value"
        return Misfit((), told, hint=nearest_name(value, choices))
    wanted = wanted_of(kind)
    if value is None:
        return Misfit((), f"must be {wanted}", "and nothing stands there")
    shows = shows_values and not wanted.startswith("text")
    given = given_of(value) if shows else sort_of(value)
    return Misfit((), f"must be {wanted}", f"not {given}")


def _of_fields(values: dict[Any, object], struct: type[msgspec.Struct]) -> Misfit:
    fields = msgspec.structs.fields(struct)
    known = [field.encode_name for field in fields]
    for key in values:
        if key not in known:
            return Misfit((str(key),), "unknown field", hint=nearest_name(str(key), known))
    lacking = [f.encode_name for f in fields if f.required and f.encode_name not in values]
    names = ", ".join(lacking)
    return Misfit((), f"{names} is missing" if lacking else f"no {struct.__name__} can be this")


def _parts(value: object, kind: object) -> Iterator[_Part]:
    """The value's parts, each with the type that it should have."""
    struct = _struct_of(kind)
    if struct is not None:
        yield from _fields(value, struct)
        return
    for option in _options(kind):
        shape = get_origin(option)
        inner = get_args(option)
        if shape is dict and isinstance(value, dict):
            for key, part in value.items():
                yield _Part(str(key), key, inner[0])
                yield _Part(str(key), part, inner[1])
        if shape in (list, set, frozenset, tuple) and isinstance(value, list | tuple):
            yield from _items(value, inner)


def _fields(value: object, struct: type[msgspec.Struct]) -> Iterator[_Part]:
    if not isinstance(value, dict):
        return
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        if field.encode_name in value:
            yield _Part(field.encode_name, value[field.encode_name], hints[field.name])
    for key in value:
        if not isinstance(key, str):
            yield _Part(str(key), key, str)


def _items(value: list[Any] | tuple[Any, ...], kinds: tuple[Any, ...]) -> Iterator[_Part]:
    """A tuple of fixed length has a type for each."""
    is_row = len(kinds) > 1 and kinds[1] is not Ellipsis
    for number, item in enumerate(value):
        if not is_row:
            yield _Part(number, item, kinds[0])
        elif number < len(kinds):
            yield _Part(number, item, kinds[number])


def _struct_of(kind: object) -> type[msgspec.Struct] | None:
    """The struct that a mapping would become."""
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def _options(kind: object) -> Iterator[object]:
    """The members of a union without None, or the one type itself."""
    plain = plain_type(kind)
    if get_origin(plain) not in (Union, UnionType):
        yield plain
        return
    for member in get_args(plain):
        if member is not NONE:
            yield from _options(member)
