"""A grammar as a tree: what schemas, patterns and GBNF become, and what a program is made from."""

from bisect import bisect_right
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

LAST_CODE = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)
"""Halves of UTF-16 pairs, which no UTF-8 text has."""
MOST_CHARS_TO_LIST = 96

CodeRange = tuple[int, int]


class GrammarError(ValueError):
    """A grammar, pattern or schema that cannot be used; the message names what of it."""


class MakerEnded(GrammarError):
    """What makes grammars has ended over this one, for whatever reason."""


class Unsatisfiable(GrammarError):
    """Nothing fits this part; an alternative to it may be fit, or it may be left out."""


class CharSet:
    """Characters by their code points."""

    __slots__ = ("_ascii", "_ends", "_listed", "_starts", "ranges")

    def __init__(self, ranges: list[CodeRange]) -> None:
        self.ranges = joined(ranges)
        self._starts = [start for start, _ in self.ranges]
        self._ends = [end for _, end in self.ranges]
        self._listed: str | None = None
        self._ascii: frozenset[int] = frozenset().union(
            *(range(start, min(end, 127) + 1) for start, end in self.ranges if start < 128)
        )

    def _has_code(self, code: int) -> bool:
        place = bisect_right(self._starts, code) - 1
        return place >= 0 and code <= self._ends[place]

    def __contains__(self, char: str) -> bool:
        code = ord(char)
        if code < 128:
            return code in self._ascii
        return self._has_code(code)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def meets(self, first: int, last: int) -> bool:
        """Whether it has any character from `first` to `last`."""
        return any(start <= last and first <= end for start, end in self.ranges)

    def listed(self) -> str | None:
        """All its characters, if they are few."""
        if self._listed is None:
            count = sum(end - start + 1 for start, end in self.ranges)
            if count > MOST_CHARS_TO_LIST:
                return None
            codes = [code for start, end in self.ranges for code in range(start, end + 1)]
            self._listed = "".join(map(chr, codes))
        return self._listed

    def some_between(self, first: int, last: int) -> str | None:
        """One of its characters with a code from `first` to `last`."""
        for start, end in self.ranges:
            if start <= last and first <= end:
                return chr(max(start, first))
        return None

    def without(self, other: "CharSet") -> "CharSet":
        return self.both(other.inverted())

    def both(self, other: "CharSet") -> "CharSet":
        found = []
        for start, end in self.ranges:
            for first, last in other.ranges:
                low = max(start, first)
                high = min(end, last)
                if low <= high:
                    found.append((low, high))
        return CharSet(found)

    def inverted(self) -> "CharSet":
        """Every other character that a text can have."""
        gaps = []
        begin = 0
        for start, end in joined([*self.ranges, SURROGATES]):
            if begin < start:
                gaps.append((begin, start - 1))
            begin = end + 1
        if begin <= LAST_CODE:
            gaps.append((begin, LAST_CODE))
        return CharSet(gaps)


def joined(ranges: list[CodeRange]) -> list[CodeRange]:
    """In order, without overlaps."""
    whole: list[CodeRange] = []
    for start, end in sorted(ranges):
        if whole and start <= whole[-1][1] + 1:
            before, before_end = whole[-1]
            whole[-1] = (before, max(before_end, end))
        else:
            whole.append((start, end))
    return whole


def chars_of(text: str) -> CharSet:
    return CharSet([(ord(char), ord(char)) for char in text])


def span(first: str, last: str) -> CodeRange:
    return ord(first), ord(last)


class Automaton(Protocol):
    """A part of a grammar that counts or compares, as no rule can. Its states are plain values."""

    @property
    def start(self) -> Hashable: ...

    # object: each automaton has states of its own kind.
    def step(self, state: object, char: str) -> Hashable | None:
        """The state after this character; None if it cannot stand here."""

    def is_end(self, state: object) -> bool:
        """Whether the part may end here."""

    def goes_on(self, state: object) -> bool:
        """Whether the part may be longer still."""

    def next_chars(self, state: object) -> list[CharSet] | None:
        """Sets that hold all that may come next; those of one either all fit or none of them.

        None if only trying can tell.
        """

    def cost(self, state: object, following: object) -> int:
        """About how many microseconds the step between them took; None if it did not fit."""


@dataclass(frozen=True, slots=True)
class Literal:
    text: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """One character of a set."""

    chars: CharSet


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    options: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """`most` None: as often as wanted."""

    part: "Node"
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A reference to a rule by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Counted:
    """A part that an automaton reads."""

    automaton: Automaton


Node = Literal | OneOf | Sequence | Choice | Repeat | Rule | Counted
Rules = dict[str, Node]

ROOT = "root"
NOTHING = Choice(())
"""No text at all fits it, not even an empty one."""
EMPTY = Literal("")


def sequence(*parts: Node) -> Node:
    return Sequence(parts)


def optional(part: Node) -> Node:
    return Repeat(part, 0, 1)


def children_of(node: Node) -> "tuple[Node, ...]":
    if isinstance(node, Sequence):
        return node.parts
    if isinstance(node, Choice):
        return node.options
    if isinstance(node, Repeat):
        return (node.part,)
    return ()


def renamed(rules: Rules, prefix: str) -> Rules:
    """The same rules under other names, to stand beside rules of other grammars."""
    return {prefix + name: with_prefix(node, prefix) for name, node in rules.items()}


def with_prefix(node: Node, prefix: str) -> Node:
    if isinstance(node, Rule):
        return Rule(prefix + node.name)
    if isinstance(node, Sequence):
        return Sequence(tuple(with_prefix(part, prefix) for part in node.parts))
    if isinstance(node, Choice):
        return Choice(tuple(with_prefix(option, prefix) for option in node.options))
    if isinstance(node, Repeat):
        return Repeat(with_prefix(node.part, prefix), node.least, node.most)
    return node
