"""Arrays of a schema: items of one kind, of one kind each, or distinct ones."""

from typing import Any, Protocol

from _shared.grammars.items import DistinctItems
from _shared.grammars.json_text import SPACE, array_of, quoted
from _shared.grammars.merging import AnySchema, Schema, contains
from _shared.grammars.nodes import (
    NOTHING,
    Choice,
    Counted,
    GrammarError,
    Literal,
    Node,
    Repeat,
    Unsatisfiable,
    sequence,
)
from _shared.grammars.values import fits


class NodeMaker(Protocol):
    """What arrays need of the reader of a whole schema."""

    def node(self, schema: AnySchema) -> Node: ...

    def add_rule(self, node: Node) -> Node: ...

    def different(self, item: Node, least: int, most: int | None) -> Node: ...

    def flat(self, schema: AnySchema) -> Schema: ...


class ArrayWriter:
    """Writes the arrays of one schema."""

    def __init__(self, maker: NodeMaker) -> None:
        self._maker = maker

    def node(self, schema: Schema) -> Node:
        least = schema.get("minItems", 0)
        most = schema.get("maxItems")
        if most is not None and most < least:
            raise Unsatisfiable("minItems is above maxItems")
        first = schema.get("prefixItems", [])
        if isinstance(schema.get("items"), list):
            raise GrammarError("items: a list of schemas is called prefixItems")
        if schema.get("uniqueItems") and (most is None or most > 1):
            return self._distinct(schema, least, most)
        rest = schema.get("items", True)
        if first:
            return self._tuple(first, rest, least, most)
        if rest is False:
            most = 0
            if least:
                return NOTHING
        item = self._maker.add_rule(self._maker.node(rest))
        return array_of(item, least, most)

    def _tuple(
        self,
        first: list[AnySchema],
        rest: AnySchema,
        least: int,
        most: int | None,
    ) -> Node:
        """Items of their own schemas, in order; as many of them as there may be."""
        count = len(first) if most is None else min(most, len(first))
        nodes = [self._maker.node(each) for each in first[:count]]
        has_more = least > count
        if has_more and (rest is False or count < len(first)):
            return NOTHING
        tail: Node = Literal("")
        if has_more or isinstance(rest, dict):
            more = self._maker.add_rule(self._maker.node(rest))
            more_most = None if most is None else most - count
            following = sequence(Literal(","), SPACE, more)
            tail = Repeat(following, max(0, least - count), more_most)
        for place in range(count - 1, -1, -1):
            comma: Node = sequence(Literal(","), SPACE) if place else Literal("")
            tail = self._maker.add_rule(sequence(comma, nodes[place], tail))
            if place >= least:
                tail = Choice((Literal(""), tail))
        return sequence(Literal("["), SPACE, tail, SPACE, Literal("]"))

    def _distinct(
        self,
        schema: Schema,
        least: int,
        most: int | None,
    ) -> Node:
        """Raises: GrammarError."""
        items = schema.get("items", True)
        values = self._all_values(items)
        if "prefixItems" in schema:
            raise GrammarError("uniqueItems beside prefixItems is not supported")
        if values is not None:
            texts = [quoted(each) for each in values]
            return Counted(DistinctItems(texts, least=least, most=most))
        item = self._maker.add_rule(self._maker.node(items))
        return self._maker.different(item, least, most)

    def _all_values(self, schema: AnySchema) -> list[Any] | None:
        """Every value that fits, if they are listed."""
        if isinstance(schema, bool):
            return None
        plain = self._maker.flat(schema)
        values = plain.get("enum")
        if "const" in plain:
            values = [plain["const"]] if values is None else values
        elif plain.get("type") == "boolean" and values is None:
            values = [True, False]
        if values is None:
            return None
        distinct: list[Any] = []
        rest = {key: value for key, value in plain.items() if key != "enum"}
        for value in values:
            if fits(value, rest) and not contains(distinct, value):
                distinct.append(value)
        return distinct
