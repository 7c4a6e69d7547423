"""Texts and numbers that a schema lists, against the keywords of their kind."""

from decimal import Decimal
from typing import Any

from _shared.grammars.bounds import Bounds
from _shared.grammars.formats import has_format
from _shared.grammars.merging import OTHER_PATTERNS, OTHER_THAN, Schema
from _shared.grammars.patterns import Pattern
from _shared.grammars.texts import WRITABLE

OF_OBJECTS = (
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
)
OF_ARRAYS = ("items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems")
OF_TEXTS = ("minLength", "maxLength", "pattern", "format", OTHER_THAN, OTHER_PATTERNS)
OF_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
KINDS = (
    ("object", OF_OBJECTS),
    ("array", OF_ARRAYS),
    ("string", OF_TEXTS),
    ("number", OF_NUMBERS),
)


def bounds_of(schema: Schema, *, is_integer: bool) -> Bounds:
    """The narrower of a limit and an exclusive one."""
    lowest = decimal_of(schema.get("minimum"))
    above = decimal_of(schema.get("exclusiveMinimum"))
    is_above = above is not None and (lowest is None or above >= lowest)
    highest = decimal_of(schema.get("maximum"))
    below = decimal_of(schema.get("exclusiveMaximum"))
    is_below = below is not None and (highest is None or below <= highest)
    return Bounds(
        lowest=above if is_above else lowest,
        highest=below if is_below else highest,
        is_above=is_above,
        is_below=is_below,
        step=decimal_of(schema.get("multipleOf")),
        is_integer=is_integer,
    )


def decimal_of(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(repr(value))


def kinds_of(value: Any) -> tuple[str, ...]:
    if value is None:
        return ("null",)
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return ("integer", "number")
    if isinstance(value, float):
        return ("number",)
    if isinstance(value, str):
        return ("string",)
    return ("array",) if isinstance(value, list) else ("object",)


def fits_text(value: str, schema: Schema) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    if "format" in schema and not has_format(value, schema["format"]):
        return False
    patterns = [*schema.get(OTHER_PATTERNS, [])]
    if "pattern" in schema:
        patterns.append(schema["pattern"])
    return all(Pattern(each, writable=WRITABLE).matches(value) for each in patterns)


def fits_number(value: float, schema: Schema) -> bool:
    bounds = bounds_of(schema, is_integer=False)
    exact = Decimal(repr(value))
    if bounds.lowest is not None and exact < bounds.lowest:
        return False
    if bounds.highest is not None and exact > bounds.highest:
        return False
    is_at_limit = (bounds.is_above and exact == bounds.lowest) or (
        bounds.is_below and exact == bounds.highest
    )
    return not is_at_limit and (bounds.step is None or exact % bounds.step == 0)
