"""Objects of a schema: named properties in their order, then others if they are asked for."""

from typing import NamedTuple, Protocol

from _shared.grammars.json_text import SPACE, object_of, pair, quoted
from _shared.grammars.merging import OTHER_THAN, AnySchema, Schema, meaning_of, types_of
from _shared.grammars.nodes import (
    EMPTY,
    NOTHING,
    Choice,
    Counted,
    GrammarError,
    Literal,
    Node,
    Repeat,
    Unsatisfiable,
    optional,
    sequence,
)
from _shared.grammars.patterns import Pattern
from _shared.grammars.texts import WRITABLE, OtherKey, PatternText
from _shared.grammars.validity import Validity

COMMA = sequence(Literal(","), SPACE)


class Tail(NamedTuple):
    """What stands after another member, and what stands there if there is none."""

    after: Node
    alone: Node


class NodeMaker(Protocol):
    """What objects need of the reader of a whole schema."""

    def node(self, schema: AnySchema) -> Node: ...

    def add_rule(self, node: Node) -> Node: ...

    def different_members(self, member: Node, least: int, most: int | None) -> Node: ...

    def flat(self, schema: AnySchema) -> Schema: ...

    @property
    def validity(self) -> Validity: ...


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
        missing = max(0, least - len(required))
        if missing and member is None:
            raise Unsatisfiable("minProperties: there are fewer properties than it asks for")
        room = None if most is None else max(0, most - len(properties))
        if missing and room is not None and room < missing:
            return NOTHING
        return object_of(self._members(properties, required, self._tail(member, missing, room)))

    def _tail(self, member: Node | None, least: int, most: int | None) -> Tail:
        """Other properties than those that are named."""
        if member is None or most == 0:
            return Tail(EMPTY, EMPTY)
        if least > 1:
            # Two others of one name would be counted once.
            whole = self._maker.different_members(member, least, most)
            return Tail(sequence(COMMA, whole), whole)
        more = sequence(COMMA, member)
        rest_most = None if most is None else most - 1
        first = sequence(member, Repeat(more, 0, rest_most))
        if least:
            return Tail(sequence(COMMA, first), first)
        return Tail(Repeat(more, 0, most), optional(first))

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
        names = schema.get("propertyNames", True)
        return {
            name: with_all(own, [part for each, part in by_pattern.items() if each.matches(name)])
            if self._maker.validity.fits(name, names)
            else False
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
        if by_pattern and not are_all_names(schema.get("propertyNames", True)):
            raise GrammarError("propertyNames beside patternProperties is not supported")
        if by_pattern:
            return self._pattern_member(by_pattern, named)
        if rest is False or (rest is None and named):
            return None
        value = self._maker.node(True if rest is None else rest)
        names = schema.get("propertyNames", True)
        if are_all_names(names):
            return self._maker.add_rule(pair(Counted(OtherKey(frozenset(named))), value))
        wish = {"type": "string", OTHER_THAN: [*named]} if named else {"type": "string"}
        key = self._maker.node({"allOf": [names, wish]})
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
        others: Tail,
    ) -> Node:
        """Built from the end: what may follow when a comma is needed, and when none is yet."""
        after = others.after
        alone = others.alone
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


def are_all_names(schema: AnySchema) -> bool:
    """Names are texts: to say no more than that forbids none."""
    if isinstance(schema, bool):
        return schema
    meant = meaning_of(schema)
    return not meant.keys() - {"type"} and "string" in types_of(meant)


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
