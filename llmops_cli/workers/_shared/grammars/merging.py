"""Several schemas that hold together (`allOf`, keywords beside `$ref`) as one."""

from collections.abc import Callable
from typing import Any

from _shared.grammars.nodes import GrammarError

# Any: a keyword of a schema holds values of every kind.
Schema = dict[str, Any]
AnySchema = Schema | bool
"""`true` is fit by every value, `false` by none."""

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
HIGHER = ("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum")
LOWER = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum")
MEANINGFUL = frozenset(
    {
        "$ref",
        "type",
        "enum",
        "const",
        "allOf",
        "anyOf",
        "oneOf",
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "minProperties",
        "maxProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
    }
)
"""Keywords that allow or forbid something, and are kept."""
REFUSED = frozenset(
    {
        "not",
        "if",
        "contains",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "propertyNames",
        "additionalItems",
        "unevaluatedItems",
        "unevaluatedProperties",
        "$dynamicRef",
        "$recursiveRef",
    }
)
"""Those that a grammar cannot keep. All other keywords are notes, as JSON Schema has it."""


def meaning_of(schema: Schema) -> Schema:
    """The keywords that allow or forbid anything. Raises: GrammarError for one that is not kept."""
    for keyword in REFUSED & schema.keys():
        if not allows_all(keyword, schema):
            raise GrammarError(f"{keyword} is not supported")
    return {keyword: value for keyword, value in schema.items() if keyword in MEANINGFUL}


def allows_all(keyword: str, schema: Schema) -> bool:
    """Whether this keyword, which is not kept, forbids nothing as it stands here."""
    value = schema[keyword]
    if keyword in ("additionalItems", "unevaluatedItems", "unevaluatedProperties"):
        return value is True or value == {}
    if keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
        return bool(value == {})
    if keyword == "if":
        return "then" not in schema and "else" not in schema
    if keyword == "propertyNames":
        return value is True or (isinstance(value, dict) and allows_every_name(value))
    return keyword == "not" and value is False


def allows_every_name(schema: Schema) -> bool:
    """Names are texts: to say so forbids none."""
    forbidding = (MEANINGFUL | REFUSED) & schema.keys() - {"type"}
    return not forbidding and "string" in types_of(schema)


def types_of(schema: Schema) -> list[str]:
    """Raises: GrammarError for a type that does not exist."""
    given = schema.get("type")
    if given is None:
        return [*TYPES]
    types = given if isinstance(given, list) else [given]
    for each in types:
        if each not in TYPES:
            known = ", ".join(TYPES)
            raise GrammarError(f"type: {each!r} is none of {known}")
    return types


def common_types(first: Schema, second: Schema) -> list[str]:
    """Every integer is a number."""
    ours = types_of(first)
    theirs = types_of(second)
    common = [each for each in ours if each in theirs]
    both = {*ours, *theirs}
    if (
        "integer" not in common
        and {"integer", "number"} <= both
        and "number" in (ours if "integer" in theirs else theirs)
    ):
        common.append("integer")
    return common


def merged(first: Schema, second: Schema) -> Schema:
    """One schema for what fits both. Raises: GrammarError for what cannot be said in one."""
    whole = {**meaning_of(first)}
    for keyword, value in meaning_of(second).items():
        if keyword not in whole:
            whole[keyword] = value
        elif keyword != "type":
            whole[keyword] = merged_keyword(keyword, whole[keyword], value)
    if "type" in first and "type" in second:
        whole["type"] = common_types(first, second)
    close(whole, first, second)
    return whole


def merged_keyword(keyword: str, first: Any, second: Any) -> Any:
    """Raises: GrammarError."""
    if first == second and type(first) is type(second):
        return first
    merge = MERGES.get(keyword)
    if merge is None:
        raise GrammarError(f"allOf: {keyword} in two of its schemas is not supported")
    return merge(first, second)


def contains(values: list[Any], wanted: Any) -> bool:
    return any(is_same(value, wanted) for value in values)


def is_same(first: Any, second: Any) -> bool:
    """As JSON has it: true is not 1, and 1.0 is 1."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(is_same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            is_same(value, second[key]) for key, value in first.items()
        )
    return bool(first == second)


def merged_properties(first: Schema, second: Schema) -> Schema:
    whole = {**first}
    for name, schema in second.items():
        whole[name] = {"allOf": [first[name], schema]} if name in first else schema
    return whole


def merged_schemas(first: Any, second: Any) -> Schema:
    return {"allOf": [first, second]}


# Any: what two schemas say with one keyword.
MERGES: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(HIGHER, max),
    **dict.fromkeys(LOWER, min),
    "required": lambda first, second: [*dict.fromkeys([*first, *second])],
    "properties": merged_properties,
    "enum": lambda first, second: [value for value in first if contains(second, value)],
    "items": merged_schemas,
    "additionalProperties": merged_schemas,
    "allOf": lambda first, second: [*first, *second],
    "uniqueItems": lambda first, second: first or second,
}
"""How one keyword says what two schemas say with it."""


def close(whole: Schema, first: Schema, second: Schema) -> None:
    """What one of them does not name falls under its `additionalProperties`, also if false."""
    for one, other in ((first, second), (second, first)):
        rest = one.get("additionalProperties", True)
        if rest is True or rest == {}:
            continue
        own = one.get("properties", {})
        properties = whole.get("properties", {})
        for name in other.get("properties", {}):
            if name not in own:
                properties = merged_properties(properties, {name: rest})
        whole["properties"] = properties
