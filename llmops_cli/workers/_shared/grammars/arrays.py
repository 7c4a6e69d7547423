"""Arrays of a schema: items of one kind, of one kind each, or distinct ones."""

from typing import Any, Protocol

from _shared.grammars.items import DistinctItems
from _shared.grammars.json_text import SPACE, array_of, quoted
from _shared.grammars.merging import AnySchema, Schema
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
from _shared.grammars.sameness import without_repeats
from _shared.grammars.validity import Validity
from _shared.grammars.wanted import ContainsWriter


class NodeMaker(Protocol):
    """What arrays need of the reader of a whole schema."""

    def node(self, schema: AnySchema) -> Node: ...

    def add_rule(self, node: Node) -> Node: ...

    def different(self, items: list[Node], least: int, most: int | None) -> Node: ...

    def flat(self, schema: AnySchema) -> Schema: ...

    @property
    def validity(self) -> Validity: ...


class ArrayWriter:
    """Writes the arrays of one schema."""

    def __init__(self, maker: NodeMaker) -> None:
        self._maker = maker
        self._wanted = ContainsWriter(maker)

    def node(self, schema: Schema) -> Node:
        least = schema.get("minItems", 0)
        most = schema.get("maxItems")
        if most is not None and most < least:
            raise Unsatisfiable("minItems is above maxItems")
        first = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        is_unique = schema.get("uniqueItems") and (most is None or most > 1)
        if "contains" in schema:
            if first or is_unique:
                raise GrammarError("contains beside prefixItems or uniqueItems is not supported")
            return self._wanted.node(schema)
        if is_unique:
            return self._distinct(schema, least, most)
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
        first = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        if first:
            return self._distinct_tuple(first, rest, least, most)
        values = self._all_values(rest)
        if values is not None:
            texts = [quoted(each) for each in values]
            return Counted(DistinctItems(texts, least=least, most=most))
        item = self._maker.add_rule(self._maker.node(rest))
        return self._maker.different([item], least, most)

    def _distinct_tuple(
        self,
        first: list[AnySchema],
        rest: AnySchema,
        least: int,
        most: int | None,
    ) -> Node:
        """Raises: Unsatisfiable."""
        parts = first if rest is False else [*first, rest]
        if rest is False:
            most = len(first) if most is None else min(most, len(first))
        if most is not None and most < least:
            raise Unsatisfiable("minItems is above the number of items that there may be")
        items = [self._maker.add_rule(self._maker.node(part)) for part in parts]
        return self._maker.different(items, least, most)

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
        rest = {key: value for key, value in plain.items() if key != "enum"}
        return without_repeats(self._maker.validity.fitting(values, rest))
