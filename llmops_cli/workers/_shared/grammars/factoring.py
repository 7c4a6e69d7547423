"""Alternatives that begin alike as one: many objects cost as much as one until they part."""

from collections.abc import Iterable

from _shared.grammars.nodes import (
    EMPTY,
    Choice,
    Literal,
    Node,
    Repeat,
    Rule,
    Rules,
    Sequence,
)

FEWEST = 8
"""Fewer alternatives cost next to nothing, and stay as they were written."""
MOST_OPENED = 12
"""Rules that are written out at the beginning of one alternative, one within the other."""

Parts = tuple[Node, ...]


def factored(rules: Rules) -> Rules:
    """The same texts, with all long lists of alternatives as trees."""
    return {name: Factoring(rules).node(node) for name, node in rules.items()}


class Factoring:
    """Puts together what the alternatives of one rule begin with."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def node(self, node: Node) -> Node:
        if isinstance(node, Sequence):
            return Sequence(tuple(map(self.node, node.parts)))
        if isinstance(node, Repeat):
            return Repeat(self.node(node.part), node.least, node.most)
        if not isinstance(node, Choice):
            return node
        options = tuple(map(self.node, node.options))
        if len(options) < FEWEST:
            return Choice(options)
        return self._tree([(option,) for option in options], MOST_OPENED)

    def _tree(self, options: list[Parts], depth: int) -> Node:
        groups: dict[Node | str, list[Parts]] = {}
        for option in options:
            parts = self._opened(option, depth)
            groups.setdefault(key_of(parts), []).append(parts)
        if len(groups) == len(options) or depth == 0:
            return Choice(tuple(map(Sequence, options)))
        return Choice(tuple(self._group(group, depth) for group in groups.values()))

    def _group(self, options: list[Parts], depth: int) -> Node:
        if len(options) == 1 or not options[0]:
            return Sequence(options[0])
        common = common_beginning([option[0] for option in options])
        rests = [rest_of(option, common) for option in options]
        opened = isinstance(common, Rule)
        return Sequence((common, self._tree(rests, depth - opened)))

    def _opened(self, parts: Parts, depth: int) -> Parts:
        """Its first part is no sequence and no rule that can be written out."""
        for _ in range(depth * MOST_OPENED):
            inner = self._inner(parts[0]) if parts else None
            if inner is None:
                break
            parts = (*inner, *parts[1:])
        return parts

    def _inner(self, node: Node) -> Parts | None:
        """What it is made of, if that is one thing after another."""
        if isinstance(node, Rule):
            body = self._rules.get(node.name)
            return (body,) if isinstance(body, Sequence | Literal) else None
        if isinstance(node, Choice) and len(node.options) == 1:
            return node.options
        if isinstance(node, Sequence):
            return node.parts
        return () if node == EMPTY else None


def key_of(parts: Parts) -> Node | str:
    if not parts:
        return ""
    first = parts[0]
    return first.text[:1] if isinstance(first, Literal) else first


def common_beginning(firsts: list[Node]) -> Node:
    if not isinstance(firsts[0], Literal):
        return firsts[0]
    texts = [first.text for first in firsts if isinstance(first, Literal)]
    return Literal(common_prefix(texts))


def common_prefix(texts: Iterable[str]) -> str:
    ordered = sorted(texts)
    first = ordered[0]
    last = ordered[-1]
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return first[:length]


def rest_of(parts: Parts, common: Node) -> Parts:
    first = parts[0]
    if isinstance(first, Literal) and isinstance(common, Literal):
        rest = Literal(first.text[len(common.text) :])
        return (rest, *parts[1:]) if rest.text else parts[1:]
    return parts[1:]
