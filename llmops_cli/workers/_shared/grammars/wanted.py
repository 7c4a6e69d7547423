"""Arrays some of whose items are wanted: `contains`, with `minContains` and `maxContains`."""

from typing import Protocol

from _shared.grammars.json_text import SPACE, array_of
from _shared.grammars.merging import AnySchema, Schema
from _shared.grammars.negation import negated
from _shared.grammars.nodes import EMPTY, Choice, Literal, Node, Repeat, Unsatisfiable, sequence

MOST_PLACES = 16
"""Where an array has bounds, the first wanted item stands at any of so many places."""
MOST_WANTED = 64
COMMA = sequence(Literal(","), SPACE)


class NodeMaker(Protocol):
    """What this needs of the reader of a whole schema."""

    def node(self, schema: AnySchema) -> Node: ...

    def add_rule(self, node: Node) -> Node: ...


class ContainsWriter:
    """Writes arrays in which some items fit another schema, too."""

    def __init__(self, maker: NodeMaker) -> None:
        self._maker = maker

    def node(self, schema: Schema) -> Node:
        """Raises: Unsatisfiable if there is no room for what is wanted."""
        wanted = schema["contains"]
        items = schema.get("items", True)
        least = schema.get("minItems", 0)
        most = schema.get("maxItems")
        count = schema.get("minContains", 1)
        most_wanted = schema.get("maxContains")
        too_few = most_wanted is not None and most_wanted < count
        if too_few or (most is not None and most < count) or count > MOST_WANTED:
            raise Unsatisfiable("contains: there cannot be as many items as it asks for")
        other_schema = items if most_wanted is None else both(items, negated(wanted))
        other = self._maker.add_rule(self._maker.node(other_schema))
        if count == 0 and most_wanted is None:
            return array_of(other, least, most)
        item = self._maker.add_rule(self._maker.node(both(items, wanted)))
        further = 0 if most_wanted is None else most_wanted - count
        if most is None and least <= count:
            return between_brackets(anywhere(item, other, count, further))
        if count == 0:
            return array_of(other, least, most)
        if count == 1:
            return between_brackets(one_at_a_place(item, other, least, most))
        return between_brackets(in_front(item, other, count, least, most))


def anywhere(item: Node, other: Node, count: int, further: int) -> Node:
    """Other items before, between and after those that are wanted."""
    with_others = sequence(Repeat(sequence(other, COMMA)), item)
    after = Repeat(sequence(COMMA, other))
    if count:
        more = Repeat(sequence(COMMA, with_others), count - 1, count - 1 + further)
        return sequence(with_others, more, after)
    none = Choice((EMPTY, sequence(other, after)))
    if not further:
        return none
    more = Repeat(sequence(COMMA, with_others), 0, further - 1)
    return Choice((none, sequence(with_others, more, after)))


def both(items: AnySchema, other: AnySchema) -> AnySchema:
    if items is True or items == {}:
        return other
    return {"allOf": [items, other]}


def between_brackets(items: Node) -> Node:
    return sequence(Literal("["), SPACE, items, SPACE, Literal("]"))


def one_at_a_place(item: Node, other: Node, least: int, most: int | None) -> Node:
    """The wanted one at any of the first places; all others may be of its kind, too."""
    places = min(MOST_PLACES, max(least, 1) if most is None else most)
    options = []
    for place in range(places):
        before = Repeat(sequence(other, COMMA), place, place)
        rest_most = None if most is None else most - place - 1
        after = Repeat(sequence(COMMA, other), max(0, least - place - 1), rest_most)
        options.append(sequence(before, item, after))
    return Choice(tuple(options))


def in_front(item: Node, other: Node, count: int, least: int, most: int | None) -> Node:
    """The wanted ones first."""
    wanted = Repeat(sequence(COMMA, item), count - 1, count - 1)
    rest_most = None if most is None else most - count
    others = Repeat(sequence(COMMA, other), max(0, least - count), rest_most)
    return sequence(item, wanted, others)
