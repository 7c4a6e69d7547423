"""Objects of a schema: named properties in their order, then others if they are asked for."""

from typing import Protocol

from _shared.grammars.json_text import SPACE, object_of, pair, quoted
from _shared.grammars.merging import AnySchema, Schema
from _shared.grammars.nodes import (
    EMPTY,
    NOTHING,
    Choice,
    Counted,
    GrammarError,
    Literal,
    Node,
    Repeat,
    Sequence,
    optional,
    sequence,
)
from _shared.grammars.patterns import Pattern
from _shared.grammars.texts import WRITABLE, OtherKey, PatternText

COMMA = sequence(Literal(","), SPACE)


class NodeMaker(Protocol):
    """What objects need of the reader of a whole schema."""

    def node(self, schema: AnySchema) -> Node: ...

    def add_rule(self, node: Node) -> Node: ...


class ObjectWriter:
    """Writes the objects of one schema."""

    def __init__(self, maker: NodeMaker) -> None:
        self._maker = maker

    def node(self, schema: Schema) -> Node:
        """Raises: GrammarError."""
        named = self._properties(schema)
        required = frozenset(schema.get("required", []))
        if any(named[name] is False for name in required):
            return NOTHING
        properties: dict[str, AnySchema] = {
            name: value for name, value in named.items() if value is not False
        }
        member = self._others(schema, named)
        least = schema.get("minProperties", 0)
        most = schema.get("maxProperties")
        if most is not None and (most < least or most < len(required)):
            return NOTHING
        if most is not None:
            properties = as_many(properties, required, most)
        required |= first_optional(properties, required, least)
        missing = least - len(required)
        if missing > 0 and (member is None or missing > 1 or required):
            # Two others may have one name, and would be counted once.
            raise GrammarError("minProperties: supported only for properties that are named")
        room = None if most is None else max(0, most - len(properties))
        others = EMPTY if member is None else Repeat(sequence(COMMA, member), 0, room)
        members = self._members(properties, required, others)
        if missing > 0 and isinstance(members, Repeat):
            members = members.part
        return object_of(members)

    def _properties(self, schema: Schema) -> dict[str, AnySchema]:
        """With those that are only required, which fall under `additionalProperties`."""
        named: dict[str, AnySchema] = {**schema.get("properties", {})}
        by_pattern = {
            Pattern(source, writable=WRITABLE): value
            for source, value in schema.get("patternProperties", {}).items()
        }
        rest = schema.get("additionalProperties", True)
        for name in schema.get("required", []):
            if name not in named:
                is_matched = any(pattern.matches(name) for pattern in by_pattern)
                named[name] = True if is_matched else rest
        return {
            name: with_all(own, [part for each, part in by_pattern.items() if each.matches(name)])
            for name, own in named.items()
        }

    def _others(
        self,
        schema: Schema,
        named: dict[str, AnySchema],
    ) -> Node | None:
        """One more property, if more are asked for."""
        by_pattern = schema.get("patternProperties", {})
        rest = schema.get("additionalProperties")
        if by_pattern:
            return self._pattern_member(by_pattern, named)
        if rest is False or (rest is None and named):
            return None
        value = self._maker.node(True if rest is None else rest)
        key = Counted(OtherKey(frozenset(named)))
        return self._maker.add_rule(pair(key, value))

    def _pattern_member(
        self,
        by_pattern: Schema,
        named: dict[str, AnySchema],
    ) -> Node | None:
        """Others would have to be held apart from those with a name: there are none beside them."""
        if named:
            return None
        if len(by_pattern) > 1:
            raise GrammarError("patternProperties: only one pattern is supported")
        source, value = next(iter(by_pattern.items()))
        key = Counted(PatternText(Pattern(source, writable=WRITABLE), least=0, most=None))
        return self._maker.add_rule(pair(key, self._maker.node(value)))

    def _members(
        self,
        properties: dict[str, AnySchema],
        required: frozenset[str],
        others: Node,
    ) -> Node:
        """Built from the end: what may follow when a comma is needed, and when none is yet."""
        after = others
        alone = without_first_comma(others)
        for name in reversed(properties):
            value = self._maker.node(properties[name])
            member = self._maker.add_rule(pair(Literal(quoted(name)), value))
            following = self._maker.add_rule(after)
            with_comma = sequence(COMMA, member, following)
            first_here = sequence(member, following)
            if name in required:
                after = with_comma
                alone = first_here
            else:
                after = Choice((with_comma, following))
                alone = Choice((first_here, self._maker.add_rule(alone)))
        return alone


def with_all(own: AnySchema, parts: list[AnySchema]) -> AnySchema:
    return {"allOf": [own, *parts]} if parts else own


def without_first_comma(others: Node) -> Node:
    """Repeated members as they stand where no other member is before them."""
    if not isinstance(others, Repeat) or not isinstance(others.part, Sequence):
        return EMPTY
    if others.most == 0:
        return EMPTY
    rest_most = None if others.most is None else others.most - 1
    return optional(sequence(*others.part.parts[1:], Repeat(others.part, 0, rest_most)))


def first_optional(
    properties: dict[str, AnySchema],
    required: frozenset[str],
    least: int,
) -> frozenset[str]:
    """Those that must be there too, so that there are enough."""
    free = [name for name in properties if name not in required]
    return frozenset(free[: max(0, least - len(required))])


def as_many(
    properties: dict[str, AnySchema],
    required: frozenset[str],
    most: int,
) -> dict[str, AnySchema]:
    """The required ones and the first of the others, so that there are never too many."""
    room = most - len(required)
    free = [name for name in properties if name not in required]
    kept = required | frozenset(free[:room])
    return {name: value for name, value in properties.items() if name in kept}
