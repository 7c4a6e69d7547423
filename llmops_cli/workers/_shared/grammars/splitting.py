"""A schema as alternatives: what `anyOf`, `oneOf`, `not`, `if` and `dependent*` make of it.

Each step takes one of these keywords away; what is left of the schema holds in each alternative.
"""

from typing import Protocol

from _shared.grammars.disjoint import are_disjoint, values_of
from _shared.grammars.merging import CONDITION, SPLIT, AnySchema, Schema, merged, types_of, without
from _shared.grammars.negation import has_some, negated, negation_of
from _shared.grammars.nodes import GrammarError
from _shared.grammars.validity import Validity

MOST_COMPARED = 64
OF_THOSE = "not, if, oneOf with schemas that overlap"
"""All three ask for what does not fit a schema."""


class Reading(Protocol):
    """What is needed of the reader of a whole schema."""

    @property
    def validity(self) -> Validity: ...

    def plain(self, schema: Schema) -> Schema: ...

    def flat(self, schema: AnySchema) -> Schema: ...


def is_split(schema: Schema) -> bool:
    return any(keyword in schema for keyword in SPLIT)


class Splitting:
    """Makes alternatives of one whole schema's parts."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def alternatives(self, schema: Schema) -> list[Schema]:
        """By the first of the keywords. Raises: GrammarError for what has no alternatives."""
        keyword = next(each for each in SPLIT if each in schema)
        group = CONDITION if keyword == "if" else (keyword,)
        rest = without(schema, group)
        parts = self._parts(keyword, schema, rest)
        branches = [self._both(rest, part) for part in parts if part is not False]
        return [branch for branch in branches if self._is_possible(branch)]

    def _parts(self, keyword: str, schema: Schema, rest: Schema) -> list[AnySchema]:
        if keyword == "anyOf":
            return [*schema["anyOf"]]
        if keyword == "oneOf":
            return self._one_of(schema["oneOf"], rest)
        if keyword == "not":
            return self._not(schema["not"], rest)
        if keyword == "if":
            return condition_parts(schema)
        if keyword == "dependentRequired":
            return dependent_names(schema["dependentRequired"])
        return dependent_schemas(schema["dependentSchemas"])

    def _both(self, rest: Schema, part: AnySchema) -> Schema:
        if isinstance(part, bool):
            return rest
        return merged(rest, self._reading.plain(part)) if rest else part

    def _one_of(self, parts: list[AnySchema], rest: Schema) -> list[AnySchema]:
        """Each but for what fits another one, too."""
        given: list[AnySchema] = [part for part in parts if part is not False]
        if len(given) > MOST_COMPARED:
            raise GrammarError(f"oneOf: over {MOST_COMPARED} schemas")
        flat = [self._reading.flat(self._both(rest, part)) for part in given]
        if self._all_apart(flat, is_any_value=False):
            return given
        return [self._without_others(place, given, flat) for place in range(len(given))]

    def _all_apart(self, flat: list[Schema], *, is_any_value: bool) -> bool:
        return all(
            are_disjoint(first, second, self._reading, is_any_value=is_any_value)
            for place, first in enumerate(flat)
            for second in flat[place + 1 :]
        )

    def _without_others(
        self,
        place: int,
        parts: list[AnySchema],
        flat: list[Schema],
    ) -> AnySchema:
        others = [
            negated(part)
            for other, part in enumerate(parts)
            if other != place
            and not are_disjoint(flat[place], flat[other], self._reading, is_any_value=True)
        ]
        return {"allOf": [parts[place], *others]} if others else parts[place]

    def _not(self, schema: AnySchema, rest: Schema) -> list[AnySchema]:
        plain = schema if isinstance(schema, bool) else self._reading.plain(schema)
        found = negation_of(plain)
        asked = types_of(rest) if "type" in rest else []
        for left_out in found.left_out:
            is_fraction = left_out.keyword == "type"
            if left_out.type in asked or (not is_fraction and has_some(asked, left_out.type)):
                raise GrammarError(
                    f"{OF_THOSE}: the opposite of {left_out.keyword} is not supported"
                )
        return [*found.alternatives]

    def _is_possible(self, schema: Schema) -> bool:
        """False if it lists values of which none fits, itself or for a required property."""
        if not self._has_values(schema):
            return False
        properties = schema.get("properties", {})
        required = [properties[name] for name in schema.get("required", []) if name in properties]
        return all(part is not False and self._has_values(part) for part in required)

    def _has_values(self, schema: AnySchema) -> bool:
        if isinstance(schema, bool):
            return schema
        flat = self._reading.flat(schema)
        values = values_of(flat)
        return values is None or bool(self._reading.validity.fitting(values, flat))


def condition_parts(schema: Schema) -> list[AnySchema]:
    """Both ways, each with what it asks for."""
    condition = schema["if"]
    if "then" not in schema and "else" not in schema:
        return [True]
    if isinstance(condition, bool):
        return [schema.get("then" if condition else "else", True)]
    fits: AnySchema = {"allOf": [condition, schema.get("then", True)]}
    fits_not: AnySchema = {"allOf": [negated(condition), schema.get("else", True)]}
    return [fits, fits_not]


def dependent_names(dependents: dict[str, list[str]]) -> list[AnySchema]:
    schemas: dict[str, AnySchema] = {
        name: {"type": "object", "required": names} for name, names in dependents.items()
    }
    return dependent_schemas(schemas)


def dependent_schemas(dependents: dict[str, AnySchema]) -> list[AnySchema]:
    """With the first name and what it asks for, or without it; then the other names."""
    if not dependents:
        return [True]
    (name, part), *others = dependents.items()
    has_name: Schema = {"type": "object", "required": [name], "allOf": [part]}
    has_not: Schema = {"type": "object", "properties": {name: False}}
    if not others:
        return [has_name, has_not]
    following = {"dependentSchemas": dict(others)}
    return [{**has_name, **following}, {**has_not, **following}]
