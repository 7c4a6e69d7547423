"""Whether each keyword of a schema holds what JSON Schema says it does."""

from collections.abc import Callable
from typing import Any

from _shared.grammars.merging import OTHER_PATTERNS, OTHER_THAN, Schema
from _shared.grammars.nodes import GrammarError

LARGEST_COUNT = 1 << 53
LARGEST_NUMBER = 1e300

# Any: what a client wrote, of whatever kind.
Check = Callable[[Any], bool]


def is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def is_number(value: Any) -> bool:
    is_numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return is_numeric and abs(value) <= LARGEST_NUMBER


def is_step(value: Any) -> bool:
    return is_number(value) and bool(value > 0)


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def are_schemas(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_schema, value))


def is_schema_or_schemas(value: Any) -> bool:
    """A list of them is what drafts before 2020-12 had for `prefixItems`."""
    return is_schema(value) or (isinstance(value, list) and all(map(is_schema, value)))


def are_named_schemas(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_schema, value.values()))


def are_named_lists(value: Any) -> bool:
    return isinstance(value, dict) and all(map(are_texts, value.values()))


def are_dependencies(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all(is_schema(part) or are_texts(part) for part in value.values())


def is_type(value: Any) -> bool:
    return is_text(value) or are_texts(value)


def is_list(value: Any) -> bool:
    return isinstance(value, list)


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


CHECKS: dict[str, tuple[Check, str]] = {
    "type": (is_type, "a type or a list of them"),
    "enum": (is_list, "a list"),
    "$ref": (is_text, "a text"),
    "pattern": (is_text, "a text"),
    "format": (is_text, "a text"),
    "required": (are_texts, "a list of names"),
    "properties": (are_named_schemas, "schemas by name"),
    "patternProperties": (are_named_schemas, "schemas by pattern"),
    "additionalProperties": (is_schema, "a schema"),
    "prefixItems": (are_schemas, "a list of schemas"),
    "items": (is_schema_or_schemas, "a schema"),
    "allOf": (are_schemas, "a list of schemas"),
    "anyOf": (are_schemas, "a list of schemas"),
    "oneOf": (are_schemas, "a list of schemas"),
    **dict.fromkeys(
        ("not", "if", "then", "else", "contains", "propertyNames", "additionalItems"),
        (is_schema, "a schema"),
    ),
    "dependentRequired": (are_named_lists, "lists of names by name"),
    "dependentSchemas": (are_named_schemas, "schemas by name"),
    "dependencies": (are_dependencies, "schemas or lists of names by name"),
    **dict.fromkeys((OTHER_THAN, OTHER_PATTERNS), (are_texts, "texts")),
    "uniqueItems": (is_flag, "true or false"),
    "multipleOf": (is_step, "a number above 0"),
    **dict.fromkeys(
        (
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
            "minContains",
            "maxContains",
            "minProperties",
            "maxProperties",
        ),
        (is_count, "a number of them"),
    ),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        (is_number, "a number"),
    ),
}


def check_schema(schema: Schema) -> None:
    """Raises: GrammarError that names the keyword."""
    for keyword, (holds, wanted) in CHECKS.items():
        if keyword in schema and not holds(schema[keyword]):
            raise GrammarError(f"{keyword}: {wanted} is expected")
