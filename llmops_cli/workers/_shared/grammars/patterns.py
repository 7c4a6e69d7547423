"""Regular expressions as automata over a text's characters: a step costs no more than their size.

Python's own parser reads them. What has no automaton (look-around, back-references) is refused.
Classes are taken in their narrower meaning, ASCII, which fits JavaScript's and Python's alike.
"""

import re
import warnings
from functools import lru_cache
from heapq import heappop, heappush
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from _shared.grammars.dialects import in_python
from _shared.grammars.edges import MOST_STATES, Edge, Edges, common
from _shared.grammars.nodes import CharSet, GrammarError, chars_of, span

LONGEST_PATTERN = 4_096
DIGITS = CharSet([span("0", "9")])
WORD = CharSet([span("a", "z"), span("A", "Z"), span("0", "9"), span("_", "_")])
BLANKS = chars_of(" \t\n\r\f\v")
ASCII = CharSet([(0, 127)])
ANY = CharSet([]).inverted().without(chars_of("\n\r\u2028\u2029"))
CATEGORIES = {
    codes.CATEGORY_DIGIT: DIGITS,
    codes.CATEGORY_NOT_DIGIT: ASCII.without(DIGITS),
    codes.CATEGORY_WORD: WORD,
    codes.CATEGORY_NOT_WORD: ASCII.without(WORD),
    codes.CATEGORY_SPACE: BLANKS,
    codes.CATEGORY_NOT_SPACE: ASCII.without(BLANKS),
}
BEGINNINGS = (codes.AT_BEGINNING, codes.AT_BEGINNING_STRING)
ENDINGS = (codes.AT_END, codes.AT_END_STRING)

# Any: what Python's parser of patterns yields: pairs of an operation and whatever belongs to it.
Parsed = Any


class Pattern:
    """Which texts match somewhere in themselves, as `re.search` has it."""

    def __init__(
        self,
        source: str,
        *,
        writable: CharSet,
        beside: "tuple[Pattern, ...]" = (),
    ) -> None:
        """`writable`: the characters that can be written. `beside`: what a text must match, too.

        Raises: GrammarError; Unsatisfiable if no text matches all of them.
        """
        self._writable = writable
        self._edges: list[list[Edge]] = [[], []]
        self.final = 1
        for branch in branches_of(parse(source)):
            self._add_branch(branch)
        for other in beside:
            both = common(self.automaton, other.automaton)
            self._edges = both.edges
            self.final = both.final
        self.start = self._closed([0])

    @property
    def automaton(self) -> Edges:
        return Edges(self._edges, self.final)

    def _add_branch(self, items: list[Parsed]) -> None:
        """A branch without anchors may stand anywhere in the text."""
        place = 0
        is_begun = bool(items) and is_anchor(items[0], BEGINNINGS)
        is_ended = bool(items) and is_anchor(items[-1], ENDINGS)
        body = items[is_begun : len(items) - is_ended]
        if not is_begun:
            place = self._loop(place, self._writable)
        place = self._sequence(body, place)
        if not is_ended:
            place = self._loop(place, self._writable)
        self._edges[place].append(Edge(None, self.final))

    def _new(self) -> int:
        if len(self._edges) >= MOST_STATES:
            raise GrammarError("pattern: it repeats too much")
        self._edges.append([])
        return len(self._edges) - 1

    def _loop(self, place: int, chars: CharSet) -> int:
        inside = self._new()
        self._edges[place].append(Edge(None, inside))
        self._edges[inside].append(Edge(chars, inside))
        return inside

    def _sequence(self, items: list[Parsed], place: int) -> int:
        for operation, argument in items:
            place = self._item(operation, argument, place)
        return place

    def _item(self, operation: Parsed, argument: Parsed, place: int) -> int:
        if operation in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            return self._repeat(argument, place)
        if operation is codes.SUBPATTERN:
            return self._sequence([*argument[-1]], place)
        if operation is codes.BRANCH:
            ends = [self._sequence([*option], place) for option in argument[1]]
            return self._met(ends)
        if operation is codes.LITERAL:
            chars = one_of_those(argument, self._writable)
        else:
            chars = charset_of(operation, argument).both(self._writable)
        after = self._new()
        self._edges[place].append(Edge(chars, after))
        return after

    def _met(self, ends: list[int]) -> int:
        after = self._new()
        for end in ends:
            self._edges[end].append(Edge(None, after))
        return after

    def _repeat(self, argument: Parsed, place: int) -> int:
        least, most, part = argument
        items = [*part]
        for _ in range(least):
            place = self._sequence(items, place)
        if most is codes.MAXREPEAT:
            begin = self._met([place])
            end = self._sequence(items, begin)
            self._edges[end].append(Edge(None, begin))
            return self._met([begin])
        ends = [place]
        for _ in range(most - least):
            place = self._sequence(items, place)
            ends.append(place)
        return self._met(ends)

    def _closed(self, places: list[int]) -> frozenset[int]:
        """Those, and all that is reached without reading."""
        found: set[int] = set()
        waiting = [*places]
        while waiting:
            place = waiting.pop()
            if place in found:
                continue
            found.add(place)
            waiting += [edge.target for edge in self._edges[place] if edge.chars is None]
        return frozenset(found)

    def step(self, places: frozenset[int], char: str) -> frozenset[int]:
        targets = [
            edge.target
            for place in places
            for edge in self._edges[place]
            if edge.chars is not None and char in edge.chars
        ]
        return self._closed(targets)

    def next_chars(self, places: frozenset[int]) -> list[CharSet]:
        """What may be read, by the edges that read it."""
        return [
            edge.chars
            for place in places
            for edge in self._edges[place]
            if edge.chars is not None and edge.chars
        ]

    def matches(self, text: str) -> bool:
        places = self.start
        for char in text:
            places = self.step(places, char)
        return self.final in places

    def lengths(self, most: int) -> list[int]:
        """For each place, which numbers of characters may still follow: bit n for n of them."""
        room = (1 << (most + 1)) - 1
        before: list[list[tuple[int, bool]]] = [[] for _ in self._edges]
        for place, edges in enumerate(self._edges):
            for edge in edges:
                if edge.chars is None or edge.chars:
                    before[edge.target].append((place, edge.chars is not None))
        found = [0] * len(self._edges)
        found[self.final] = 1
        # The last place first: most patterns only go forward, so that each is settled once.
        waiting = [-self.final]
        is_waiting = {self.final}
        for _ in range(40 * MOST_STATES):
            if not waiting:
                return found
            target = -heappop(waiting)
            is_waiting.discard(target)
            for place, reads in before[target]:
                lengths = found[target] << reads & room
                if lengths | found[place] != found[place]:
                    found[place] |= lengths
                    if place not in is_waiting:
                        is_waiting.add(place)
                        heappush(waiting, -place)
        raise GrammarError("pattern: it is too long for these lengths")


def parse(source: str) -> list[Parsed]:
    if len(source) > LONGEST_PATTERN:
        raise GrammarError(f"pattern: over {LONGEST_PATTERN} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = parser.parse(in_python(source))
    except (re.error, RecursionError, OverflowError) as error:
        raise GrammarError(f"pattern: {error}") from error
    if parsed.state.flags & ~re.UNICODE:
        raise GrammarError("pattern: flags inside a pattern are not supported")
    return [*parsed]


def branches_of(items: list[Parsed]) -> list[list[Parsed]]:
    """The choices at the top, each of which may have anchors of its own.

    Python's parser takes what choices have in common out of them, the first anchor too.
    """
    if len(items) == 1 and items[0][0] is codes.SUBPATTERN:
        return branches_of([*items[0][1][-1]])
    for place, (operation, argument) in enumerate(items):
        if operation is not codes.BRANCH:
            continue
        options = [[*option] for option in argument[1]]
        has_anchor = any(item[0] is codes.AT for option in options for item in option)
        if has_anchor or len(items) == 1:
            before = items[:place]
            after = items[place + 1 :]
            return [[*before, *option, *after] for option in options]
    return [items]


@lru_cache(maxsize=4_096)
def one_of_those(code: int, writable: CharSet) -> CharSet:
    """One set for each letter of all patterns: thousands would be work for the collector."""
    return CharSet([(code, code)]).both(writable)


def is_anchor(item: Parsed, kinds: tuple[Parsed, ...]) -> bool:
    return item[0] is codes.AT and item[1] in kinds


def charset_of(operation: Parsed, argument: Parsed) -> CharSet:
    """Raises: GrammarError for what is no set of characters."""
    if operation is codes.LITERAL:
        return CharSet([(argument, argument)])
    if operation is codes.NOT_LITERAL:
        return CharSet([(argument, argument)]).inverted()
    if operation is codes.ANY:
        return ANY
    if operation is codes.IN:
        return class_of(argument)
    raise GrammarError(f"pattern: {str(operation).lower()} is not supported")


def class_of(items: list[Parsed]) -> CharSet:
    ranges = []
    is_inverted = False
    unsure = CharSet([])
    for operation, argument in items:
        if operation is codes.NEGATE:
            is_inverted = True
        elif operation is codes.RANGE:
            ranges.append(argument)
        elif operation is codes.LITERAL:
            ranges.append((argument, argument))
        else:
            ranges += CATEGORIES[argument].ranges
            unsure = ASCII.inverted()
    chars = CharSet(ranges)
    if not is_inverted:
        return chars
    # Beyond ASCII the two dialects differ over what a class holds, so its opposite has none of it.
    return chars.inverted().without(unsure)
