"""Whether no answer that is written for one schema fits another one: what `oneOf` asks for."""

from typing import Any, Protocol

from _shared.grammars.merging import SPLIT, AnySchema, Schema, common_types, types_of
from _shared.grammars.sameness import common
from _shared.grammars.validity import Validity
from _shared.grammars.values import bounds_of

DEEPEST = 6


class Reading(Protocol):
    """What is needed of the reader of a whole schema."""

    @property
    def validity(self) -> Validity: ...

    def flat(self, schema: AnySchema) -> Schema: ...


def are_disjoint(
    first: Schema,
    second: Schema,
    reading: Reading,
    depth: int = 0,
    *,
    is_any_value: bool = False,
) -> bool:
    """Both flat. False if unsure. `is_any_value`: values that are never written count, too."""
    if not common_types(first, second):
        return True
    ours = values_of(first)
    theirs = values_of(second)
    if ours is not None and theirs is not None:
        return not common(ours, theirs)
    if ours is not None and not reading.validity.fitting(ours, second):
        return True
    if theirs is not None and not reading.validity.fitting(theirs, first):
        return True
    if {*types_of(first), *types_of(second)} <= {"integer", "number"}:
        return is_below(first, second) or is_below(second, first)
    are_objects = types_of(first) == ["object"] and types_of(second) == ["object"]
    if not are_objects or depth >= DEEPEST:
        return False
    if differ_in_a_property(first, second, reading, depth):
        return True
    return not is_any_value and never_fits(first, second) and never_fits(second, first)


def is_below(first: Schema, second: Schema) -> bool:
    """Every number of the first is lower than all of the second."""
    ours = bounds_of(first, is_integer=False)
    theirs = bounds_of(second, is_integer=False)
    if ours.highest is None or theirs.lowest is None:
        return False
    if ours.highest == theirs.lowest:
        return ours.is_below or theirs.is_above
    return ours.highest < theirs.lowest


def values_of(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return values if isinstance(values, list) else None


def differ_in_a_property(
    first: Schema,
    second: Schema,
    reading: Reading,
    depth: int,
) -> bool:
    """A property that both require has other values."""
    ours = first.get("properties", {})
    theirs = second.get("properties", {})
    both = set(first.get("required", [])) & set(second.get("required", []))
    for name in sorted(both):
        if name not in ours or name not in theirs:
            continue
        one = reading.flat(ours[name])
        other = reading.flat(theirs[name])
        if are_disjoint(one, other, reading, depth + 1, is_any_value=True):
            return True
    return False


def never_fits(written: Schema, other: Schema) -> bool:
    """An answer for `written` lacks what the other needs, since it has only its own properties."""
    if written.get("additionalProperties", False) is not False or "patternProperties" in written:
        return False
    if any(keyword in written for keyword in SPLIT):
        return False
    names = {*written.get("properties", {}), *written.get("required", [])}
    return bool(names) and any(name not in names for name in other.get("required", []))
