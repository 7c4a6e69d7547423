"""Several schemas that hold together (`allOf`, keywords beside `$ref`) as one."""

from collections.abc import Callable
from typing import Any

from _shared.grammars.nodes import GrammarError
from _shared.grammars.sameness import common

# Any: a keyword of a schema holds values of every kind.
Schema = dict[str, Any]
AnySchema = Schema | bool
"""`true` is fit by every value, `false` by none."""

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
OTHER_THAN = "$other-than"
"""Ours: texts that a text must not be."""
OTHER_PATTERNS = "$patterns"
"""Ours: what a text must match beside its pattern."""
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
        "not",
        "if",
        "then",
        "else",
        "dependentRequired",
        "dependentSchemas",
        "properties",
        "required",
        "additionalProperties",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "items",
        "prefixItems",
        "contains",
        "minContains",
        "maxContains",
        "minItems",
        "maxItems",
        "uniqueItems",
        OTHER_THAN,
        OTHER_PATTERNS,
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
REFUSED = ("unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef")
"""Those that a grammar cannot keep. All other keywords are notes, as JSON Schema has it."""
CONDITION = ("if", "then", "else")
CONTAINED = ("contains", "minContains", "maxContains")
SPLIT = ("anyOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas")
"""Keywords that make alternatives of a schema, or take some away."""


def meaning_of(schema: Schema) -> Schema:
    """The keywords that allow or forbid anything. Raises: GrammarError for one that is not kept."""
    for keyword in REFUSED:
        if keyword in schema and not allows_all(schema[keyword]):
            raise GrammarError(f"{keyword} is not supported")
    kept = {keyword: value for keyword, value in schema.items() if keyword in MEANINGFUL}
    if "if" not in kept:
        kept = without(kept, CONDITION)
    if "contains" not in kept:
        kept = without(kept, CONTAINED)
    return with_dependencies(with_tuple(kept, schema), schema)


def without(schema: Schema, keywords: tuple[str, ...]) -> Schema:
    return {keyword: value for keyword, value in schema.items() if keyword not in keywords}


def with_tuple(kept: Schema, schema: Schema) -> Schema:
    """`items` as a list, with `additionalItems`, is what drafts before 2020-12 had."""
    first = kept.get("items")
    if not isinstance(first, list):
        return kept
    rest = schema.get("additionalItems", True)
    whole = {**without(kept, ("items",)), "items": rest}
    return {**whole, "prefixItems": first} if first else whole


def with_dependencies(kept: Schema, schema: Schema) -> Schema:
    """`dependencies` is what drafts before 2019-09 had for two keywords."""
    given = schema.get("dependencies", {})
    names = {name: part for name, part in given.items() if isinstance(part, list)}
    schemas = {name: part for name, part in given.items() if not isinstance(part, list)}
    whole = {**kept}
    if names:
        whole["dependentRequired"] = {**names, **kept.get("dependentRequired", {})}
    if schemas:
        whole["dependentSchemas"] = {**schemas, **kept.get("dependentSchemas", {})}
    return whole


# Any: what stands there, a schema or nothing of the kind.
def allows_all(value: Any) -> bool:
    return value is True or value == {}


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
    ours = meaning_of(first)
    theirs = meaning_of(second)
    apart = [taken(theirs, keyword) for keyword in SPLIT if differs(keyword, ours, theirs)]
    count = tuple_length(ours, theirs)
    if count:
        ours = as_tuple(ours, count)
        theirs = as_tuple(theirs, count)
    whole = {**ours}
    if differs("pattern", ours, theirs):
        whole[OTHER_PATTERNS] = [*ours.get(OTHER_PATTERNS, []), theirs.pop("pattern")]
    if "const" in ours and "const" in theirs and not is_same(ours["const"], theirs["const"]):
        whole["enum"] = []
        theirs.pop("const")
    for keyword, value in theirs.items():
        if keyword not in whole:
            whole[keyword] = value
        elif keyword != "type":
            whole[keyword] = merged_keyword(keyword, whole[keyword], value)
    if "type" in ours and "type" in theirs:
        whole["type"] = common_types(ours, theirs)
    close(whole, ours, theirs)
    if apart:
        whole["allOf"] = [*whole.get("allOf", []), *apart]
    return whole


def differs(keyword: str, first: Schema, second: Schema) -> bool:
    """Both say something with it, and not the same."""
    if keyword not in first or keyword not in second:
        return False
    group = CONDITION if keyword == "if" else (keyword,)
    return not all(is_same(first.get(each), second.get(each)) for each in group)


def taken(schema: Schema, keyword: str) -> Schema:
    """A keyword of the schema, with what belongs to it, as a schema of its own."""
    group = CONDITION if keyword == "if" else (keyword,)
    return {each: schema.pop(each) for each in group if each in schema}


def as_tuple(schema: Schema, count: int) -> Schema:
    """With so many items in order: those beyond its own are as `items` says."""
    first = schema.get("prefixItems", [])
    rest = schema.get("items", True)
    missing = count - len(first)
    return {**schema, "prefixItems": [*first, *[rest] * missing]}


def tuple_length(first: Schema, second: Schema) -> int:
    """0 where items in order are no matter of both."""
    if not all("prefixItems" in each or "items" in each for each in (first, second)):
        return 0
    return max(len(each.get("prefixItems", [])) for each in (first, second))


def merged_keyword(keyword: str, first: Any, second: Any) -> Any:
    """Raises: GrammarError."""
    if is_same(first, second):
        return first
    merge = MERGES.get(keyword)
    if merge is None:
        raise GrammarError(f"allOf: {keyword} in two of its schemas is not supported")
    return merge(first, second)


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
        whole[name] = merged_schemas(first[name], schema) if name in first else schema
    return whole


def merged_schemas(first: AnySchema, second: AnySchema) -> AnySchema:
    if first is False or second is False:
        return False
    if second is True:
        return first
    if first is True:
        return second
    return {"allOf": [first, second]}


def merged_lists(first: list[Any], second: list[Any]) -> list[AnySchema]:
    return [merged_schemas(*pair) for pair in zip(first, second, strict=True)]


def either_name(first: list[str], second: list[str]) -> list[str]:
    return [*dict.fromkeys([*first, *second])]


# Any: what two schemas say with one keyword.
MERGES: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(HIGHER, max),
    **dict.fromkeys(LOWER, min),
    "required": either_name,
    "prefixItems": merged_lists,
    OTHER_THAN: either_name,
    OTHER_PATTERNS: either_name,
    "propertyNames": merged_schemas,
    "properties": merged_properties,
    "enum": common,
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
        if allows_all(rest):
            continue
        patterns = other.get("patternProperties", {})
        if patterns.keys() - one.get("patternProperties", {}).keys():
            message = "allOf: patternProperties beside additionalProperties of another schema"
            raise GrammarError(f"{message} is not supported")
        own = one.get("properties", {})
        properties = whole.get("properties", {})
        for name in other.get("properties", {}):
            if name not in own:
                properties = merged_properties(properties, {name: rest})
        whole["properties"] = properties
