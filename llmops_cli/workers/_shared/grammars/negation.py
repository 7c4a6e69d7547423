"""What does not fit a schema, as schemas: `not`, and what `if` and `oneOf` ask of it.

Each keyword of one type is turned round for values of that type; values of other types fit none of
it. What has no opposite that a grammar keeps (a pattern, a format) is left out, and told.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from _shared.grammars.merging import (
    OTHER_THAN,
    TYPES,
    AnySchema,
    Schema,
    allows_all,
    meaning_of,
    types_of,
)
from _shared.grammars.nodes import GrammarError
from _shared.grammars.values import KINDS, kinds_of

MOST_VALUES = 256
MOST_PAIRS = 16

Opposite = Callable[[Schema], list[Schema]]


class LeftOut(NamedTuple):
    """Values of a type that do not fit for what a keyword says."""

    type: str
    keyword: str


class Negation(NamedTuple):
    """One of the alternatives is fit by what does not fit; no more than `left_out` is missing."""

    alternatives: list[Schema]
    left_out: list[LeftOut]


def negation_of(schema: AnySchema) -> Negation:
    """Of a schema without `$ref` at its top. Raises: GrammarError for what is not kept."""
    if isinstance(schema, bool):
        return Negation([] if schema else [{}], [])
    whole = meaning_of(schema)
    found = Negation([], [])
    types = types_of(whole)
    others = [kind for kind in TYPES if not has_some(types, kind)]
    if others:
        found.alternatives.append({"type": others})
    if "integer" in types and "number" not in types:
        # A fraction is no integer, but no keyword says so.
        found.left_out.append(LeftOut("number", "type"))
    for keyword in whole:
        opposite = OPPOSITES.get(keyword)
        if opposite is not None:
            found.alternatives.extend(opposite(whole))
        elif keyword in WITHOUT and not allows_all(whole[keyword]):
            found.left_out.append(LeftOut(WITHOUT[keyword], keyword))
    return found


def has_some(types: list[str], kind: str) -> bool:
    """Some value of this kind has one of these types."""
    numbers = ("integer", "number")
    if kind in numbers:
        return any(each in types for each in numbers)
    return kind in types


def negated(schema: AnySchema) -> Schema:
    return {"not": schema}


def other_than_listed(schema: Schema) -> list[Schema]:
    return other_values(schema["enum"])


def other_than_const(schema: Schema) -> list[Schema]:
    return other_values([schema["const"]])


# Any: the values that a schema lists.
def other_values(values: list[Any]) -> list[Schema]:
    """Other values of the types that they have, and all of the other types."""
    if len(values) > MOST_VALUES:
        raise GrammarError(f"not, if, oneOf: over {MOST_VALUES} values are not supported")
    kinds = {kind for value in values for kind in kinds_of(value)}
    if kinds & {"object", "array"}:
        raise GrammarError("not, if, oneOf: objects and arrays in a list are not supported")
    others = [kind for kind in TYPES if not has_some([*kinds], kind)]
    texts = [value for value in values if isinstance(value, str)]
    flags = [flag for flag in (True, False) if all(value is not flag for value in values)]
    found: list[Schema] = [{"type": others}] if others else []
    if texts:
        found.append({"type": "string", OTHER_THAN: texts})
    if "boolean" in kinds and flags:
        found.append({"enum": flags})
    return found + between([value for value in values if "number" in kinds_of(value)])


def between(numbers: list[float]) -> list[Schema]:
    """Below the least, between each two, above the largest."""
    if not numbers:
        return []
    ordered = sorted(set(numbers))
    inner: list[Schema] = [
        {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high}
        for low, high in pairwise(ordered)
    ]
    first = {"type": "number", "exclusiveMaximum": ordered[0]}
    last = {"type": "number", "exclusiveMinimum": ordered[-1]}
    return [first, *inner, last]


def those_texts(schema: Schema) -> list[Schema]:
    return [{"enum": schema[OTHER_THAN]}]


def missing_names(schema: Schema) -> list[Schema]:
    return [{"type": "object", "properties": {name: False}} for name in schema["required"]]


def wrong_properties(schema: Schema) -> list[Schema]:
    return [
        {"type": "object", "required": [name], "properties": {name: negated(part)}}
        for name, part in schema["properties"].items()
        if not allows_all(part)
    ]


def wrong_first_items(schema: Schema) -> list[Schema]:
    parts = schema["prefixItems"]
    return [
        {
            "type": "array",
            "prefixItems": [*[True] * place, negated(part)],
            "minItems": place + 1,
            "items": True,
        }
        for place, part in enumerate(parts)
        if not allows_all(part)
    ]


def wrong_items(schema: Schema) -> list[Schema]:
    if allows_all(schema["items"]):
        return []
    if "prefixItems" in schema:
        raise GrammarError("not, if, oneOf: items beside prefixItems is not supported")
    return [{"type": "array", "contains": negated(schema["items"])}]


def too_many_or_few(schema: Schema) -> list[Schema]:
    """Items that are looked for: none of them, fewer than are wanted, or more."""
    part = schema["contains"]
    least = schema.get("minContains", 1)
    most = schema.get("maxContains")
    found: list[Schema] = []
    if least == 1:
        found.append({"type": "array", "items": negated(part)})
    elif least > 1:
        fewer = {"contains": part, "minContains": 0, "maxContains": least - 1}
        found.append({"type": "array", **fewer})
    if most is not None:
        found.append({"type": "array", "contains": part, "minContains": most + 1})
    return found


def fewer(keyword: str, opposite: str, kind: str) -> Opposite:
    def turned(schema: Schema) -> list[Schema]:
        count = schema[keyword] - 1
        return [{"type": kind, opposite: count}] if count >= 0 else []

    return turned


def more(keyword: str, opposite: str, kind: str) -> Opposite:
    return lambda schema: [{"type": kind, opposite: schema[keyword] + 1}]


def beyond(keyword: str, opposite: str) -> Opposite:
    return lambda schema: [{"type": "number", opposite: schema[keyword]}]


def not_all(schema: Schema) -> list[Schema]:
    return [negated(part) for part in schema["allOf"]]


def none_of(schema: Schema) -> list[Schema]:
    return [{"allOf": [negated(part) for part in schema["anyOf"]]}]


def none_or_two_of(schema: Schema) -> list[Schema]:
    parts = schema["oneOf"]
    if len(parts) > MOST_PAIRS:
        raise GrammarError(f"not, if: oneOf with over {MOST_PAIRS} schemas is not supported")
    pairs = [
        {"allOf": [first, second]}
        for place, first in enumerate(parts)
        for second in parts[place + 1 :]
    ]
    return [{"allOf": [negated(part) for part in parts]}, *pairs]


def inner_schema(schema: Schema) -> list[Schema]:
    part = schema["not"]
    if isinstance(part, bool):
        return [{}] if part else []
    return [part]


def broken_condition(schema: Schema) -> list[Schema]:
    condition = schema["if"]
    found: list[Schema] = []
    if "then" in schema:
        found.append({"allOf": [condition, negated(schema["then"])]})
    if "else" in schema:
        found.append({"allOf": [negated(condition), negated(schema["else"])]})
    return found


def missing_dependents(schema: Schema) -> list[Schema]:
    return [
        {"type": "object", "required": [name], "properties": {each: False}}
        for name, names in schema["dependentRequired"].items()
        for each in names
    ]


def wrong_dependents(schema: Schema) -> list[Schema]:
    return [
        {"type": "object", "required": [name], **negated(part)}
        for name, part in schema["dependentSchemas"].items()
    ]


OPPOSITES: dict[str, Opposite] = {
    "enum": other_than_listed,
    "const": other_than_const,
    OTHER_THAN: those_texts,
    "allOf": not_all,
    "anyOf": none_of,
    "oneOf": none_or_two_of,
    "not": inner_schema,
    "if": broken_condition,
    "dependentRequired": missing_dependents,
    "dependentSchemas": wrong_dependents,
    "required": missing_names,
    "properties": wrong_properties,
    "prefixItems": wrong_first_items,
    "items": wrong_items,
    "contains": too_many_or_few,
    "minProperties": fewer("minProperties", "maxProperties", "object"),
    "maxProperties": more("maxProperties", "minProperties", "object"),
    "minItems": fewer("minItems", "maxItems", "array"),
    "maxItems": more("maxItems", "minItems", "array"),
    "minLength": fewer("minLength", "maxLength", "string"),
    "maxLength": more("maxLength", "minLength", "string"),
    "minimum": beyond("minimum", "exclusiveMaximum"),
    "maximum": beyond("maximum", "exclusiveMinimum"),
    "exclusiveMinimum": beyond("exclusiveMinimum", "maximum"),
    "exclusiveMaximum": beyond("exclusiveMaximum", "minimum"),
}
KNOWN = frozenset({*OPPOSITES, "type", "then", "else", "minContains", "maxContains"})
WITHOUT = {
    keyword: kind for kind, keywords in KINDS for keyword in keywords if keyword not in KNOWN
}
"""Keywords whose opposite no grammar keeps, and the type whose values they hold."""
