"""Whether a value that is listed fits a schema: every keyword, as JSON Schema has it."""

from collections.abc import Callable
from typing import Any

from _shared.grammars.merging import (
    OTHER_THAN,
    AnySchema,
    Schema,
    is_same,
    meaning_of,
    types_of,
)
from _shared.grammars.nodes import GrammarError
from _shared.grammars.patterns import Pattern
from _shared.grammars.sameness import key_of, keys_of
from _shared.grammars.texts import WRITABLE
from _shared.grammars.values import fits_number, fits_text, kinds_of
from _shared.grammars.wellformed import check_schema

MOST_LOOKED_AT = 200_000
"""Schemas that are held against values, of one whole schema."""
DEEPEST = 60

# Any: whatever JSON holds.
Value = Any
Resolve = Callable[[str], AnySchema]


class Validity:
    """Holds values against the schemas within one whole schema."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._looked_at = 0
        self._depth = 0
        self._listed: dict[int, tuple[list[Value], set[str]]] = {}

    def fitting(self, values: list[Value], schema: Schema) -> list[Value]:
        """Those that fit. Raises: GrammarError if that is not to be told."""
        check_schema(schema)
        whole = meaning_of(schema)
        if not whole:
            return values
        return [value for value in values if self._fits_all(value, whole)]

    def fits(self, value: Value, schema: AnySchema) -> bool:
        """Raises: GrammarError if that is not to be told."""
        if isinstance(schema, bool):
            return schema
        check_schema(schema)
        return self._fits_all(value, meaning_of(schema))

    def _fits_all(self, value: Value, schema: Schema) -> bool:
        self._looked_at += 1
        self._depth += 1
        if self._looked_at > MOST_LOOKED_AT or self._depth > DEEPEST:
            raise GrammarError("enum, const: they take too long to be held against the schema")
        try:
            return (
                self._is_listed(value, schema)
                and self._fits_kind(value, schema)
                and self._fits_parts(value, schema)
                and self._fits_condition(value, schema)
            )
        finally:
            self._depth -= 1

    def _is_listed(self, value: Value, schema: Schema) -> bool:
        if "type" in schema and not any(each in kinds_of(value) for each in types_of(schema)):
            return False
        if "const" in schema and not is_same(schema["const"], value):
            return False
        return "enum" not in schema or key_of(value) in self._keys_of(schema["enum"])

    def _keys_of(self, values: list[Value]) -> set[str]:
        """Made once of each list: long ones are asked for many values."""
        found = self._listed.get(id(values))
        if found is None:
            # With the list itself, so that its place is not taken by another one.
            found = (values, keys_of(values))
            self._listed[id(values)] = found
        return found[1]

    def _fits_kind(self, value: Value, schema: Schema) -> bool:
        if isinstance(value, str):
            return fits_text(value, schema) and value not in schema.get(OTHER_THAN, [])
        if isinstance(value, list):
            return self._fits_array(value, schema)
        if isinstance(value, dict):
            return self._fits_object(value, schema)
        return "number" not in kinds_of(value) or fits_number(value, schema)

    def _fits_parts(self, value: Value, schema: Schema) -> bool:
        if "$ref" in schema and not self.fits(value, self._resolve(schema["$ref"])):
            return False
        if not all(self.fits(value, part) for part in schema.get("allOf", [])):
            return False
        if "anyOf" in schema and not any(self.fits(value, part) for part in schema["anyOf"]):
            return False
        if "oneOf" in schema and sum(self.fits(value, part) for part in schema["oneOf"]) != 1:
            return False
        return "not" not in schema or not self.fits(value, schema["not"])

    def _fits_condition(self, value: Value, schema: Schema) -> bool:
        if "if" not in schema:
            return True
        keyword = "then" if self.fits(value, schema["if"]) else "else"
        return self.fits(value, schema.get(keyword, True))

    def _fits_array(self, value: list[Value], schema: Schema) -> bool:
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            return False
        first = schema.get("prefixItems", [])
        if not all(map(self.fits, value, first)):
            return False
        rest = schema.get("items", True)
        if not all(self.fits(each, rest) for each in value[len(first) :]):
            return False
        if schema.get("uniqueItems") and has_twice(value):
            return False
        return "contains" not in schema or self._has_wanted(value, schema)

    def _has_wanted(self, value: list[Value], schema: Schema) -> bool:
        count = sum(self.fits(each, schema["contains"]) for each in value)
        least: int = schema.get("minContains", 1)
        most: int = schema.get("maxContains", count)
        return least <= count <= most

    def _fits_object(self, value: dict[str, Value], schema: Schema) -> bool:
        least = schema.get("minProperties", 0)
        if not least <= len(value) <= schema.get("maxProperties", len(value)):
            return False
        if not all(name in value for name in schema.get("required", [])):
            return False
        if "propertyNames" in schema:
            names = schema["propertyNames"]
            if not all(self.fits(name, names) for name in value):
                return False
        if not all(self._fits_member(name, value[name], schema) for name in value):
            return False
        return self._has_dependents(value, schema)

    def _fits_member(self, name: str, value: Value, schema: Schema) -> bool:
        parts = []
        properties = schema.get("properties", {})
        if name in properties:
            parts.append(properties[name])
        for source, part in schema.get("patternProperties", {}).items():
            if Pattern(source, writable=WRITABLE).matches(name):
                parts.append(part)
        if not parts:
            parts.append(schema.get("additionalProperties", True))
        return all(self.fits(value, part) for part in parts)

    def _has_dependents(self, value: dict[str, Value], schema: Schema) -> bool:
        for name, names in schema.get("dependentRequired", {}).items():
            if name in value and not all(each in value for each in names):
                return False
        dependent = schema.get("dependentSchemas", {})
        return all(self.fits(value, part) for name, part in dependent.items() if name in value)


def has_twice(values: list[Value]) -> bool:
    return len(keys_of(values)) < len(values)
