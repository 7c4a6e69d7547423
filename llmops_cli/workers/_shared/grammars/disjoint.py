"""Whether no answer that is written for one schema fits another one: what `oneOf` asks for."""

from collections.abc import Callable
from typing import Any

from _shared.grammars.merging import AnySchema, Schema, common_types, contains, types_of
from _shared.grammars.values import bounds_of, fits

Flatten = Callable[[AnySchema], Schema]
DEEPEST = 6


def are_disjoint(
    first: Schema,
    second: Schema,
    flat: Flatten,
    depth: int = 0,
) -> bool:
    """Both flat. False if unsure."""
    if not common_types(first, second):
        return True
    ours = values_of(first)
    theirs = values_of(second)
    if ours is not None and theirs is not None:
        return not any(contains(theirs, value) for value in ours)
    if ours is not None and not any(fits(value, second) for value in ours):
        return True
    if theirs is not None and not any(fits(value, first) for value in theirs):
        return True
    if {*types_of(first), *types_of(second)} <= {"integer", "number"}:
        return is_below(first, second) or is_below(second, first)
    are_objects = types_of(first) == ["object"] and types_of(second) == ["object"]
    if are_objects and depth < DEEPEST:
        return differ_in_a_property(first, second, flat, depth)
    return False


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
    flat: Flatten,
    depth: int,
) -> bool:
    """A required property has other values, or each needs one that the other never writes."""
    ours = first.get("properties", {})
    theirs = second.get("properties", {})
    both = set(first.get("required", [])) & set(second.get("required", []))
    for name in sorted(both):
        if name not in ours or name not in theirs:
            continue
        if are_disjoint(flat(ours[name]), flat(theirs[name]), flat, depth + 1):
            return True
    return never_fits(first, second) and never_fits(second, first)


def never_fits(written: Schema, other: Schema) -> bool:
    """An answer for `written` lacks what the other needs, since it has only its own properties."""
    if written.get("additionalProperties", False) is not False or "patternProperties" in written:
        return False
    names = {*written.get("properties", {}), *written.get("required", [])}
    return bool(names) and any(name not in names for name in other.get("required", []))
