"""Patterns as places with edges between them, and two of them as one."""

from typing import NamedTuple

from _shared.grammars.nodes import CharSet, GrammarError, Unsatisfiable

MOST_STATES = 6_000


class Edge(NamedTuple):
    """`chars` None: nothing is read."""

    chars: CharSet | None
    target: int


class Edges(NamedTuple):
    """The edges of each place. A text that leads from place 0 to the final one matches."""

    edges: list[list[Edge]]
    final: int


Pair = tuple[int, int]


def common(first: Edges, second: Edges) -> Edges:
    """One whose places are pairs of theirs. Raises: Unsatisfiable if no text leads to its end."""
    final = (first.final, second.final)
    places: dict[Pair, int] = {(0, 0): 0}
    waiting: list[Pair] = [(0, 0)]
    edges: list[list[Edge]] = []
    while waiting:
        following: list[Pair] = []
        for pair in waiting:
            edges.append([])
            for chars, target in pair_edges(first.edges[pair[0]], second.edges[pair[1]], pair):
                if target not in places:
                    places[target] = len(places)
                    following.append(target)
                edges[-1].append(Edge(chars, places[target]))
        if len(places) > MOST_STATES:
            raise GrammarError("pattern: it is too long beside another pattern or a format")
        waiting = following
    if final not in places:
        raise Unsatisfiable("pattern: no text matches it beside its format or another pattern")
    alive = leading_to(edges, places[final])
    # From the other places no text leads to the end.
    kept = [[edge for edge in each if edge.target in alive] for each in edges]
    return Edges(kept, places[final])


def pair_edges(
    ours: list[Edge],
    theirs: list[Edge],
    pair: Pair,
) -> list[tuple[CharSet | None, Pair]]:
    """One of the two goes on without reading, or both read the same character."""
    found: list[tuple[CharSet | None, Pair]] = []
    found += [(None, (edge.target, pair[1])) for edge in ours if edge.chars is None]
    found += [(None, (pair[0], edge.target)) for edge in theirs if edge.chars is None]
    for edge in ours:
        for other in theirs:
            if edge.chars is None or other.chars is None:
                continue
            chars = edge.chars.both(other.chars)
            if chars:
                found.append((chars, (edge.target, other.target)))
    return found


def leading_to(edges: list[list[Edge]], final: int) -> set[int]:
    before: list[list[int]] = [[] for _ in edges]
    for place, each in enumerate(edges):
        for edge in each:
            before[edge.target].append(place)
    found = {final}
    waiting = [final]
    while waiting:
        for place in before[waiting.pop()]:
            if place not in found:
                found.add(place)
                waiting.append(place)
    return found
