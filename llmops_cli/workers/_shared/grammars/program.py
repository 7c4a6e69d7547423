"""A grammar as instructions: short ones, so that a step over all that is possible stays cheap."""

from array import array
from enum import IntEnum
from typing import NamedTuple

from _shared.grammars.nodes import Automaton, CharSet


class Op(IntEnum):
    """What an instruction does."""

    CHAR = 0
    COUNT = 1
    JUMP = 2
    CALL = 3
    RETURN = 4
    LOOP = 5
    AGAIN = 6


class Loop(NamedTuple):
    """`body` and `after`: places to go on. `most` None: as many turns as wanted."""

    body: int
    after: int
    least: int
    most: int | None


class Program(NamedTuple):
    """Instructions in columns: tens of thousands of them are a few objects, which copy at once.

    `ops` says what the instruction at a place does, `args` with what: the number of a set or of an
    automaton, the place that is called or gone back to, or where in `lists` its places stand.
    """

    start: int
    ops: bytes
    args: "array[int]"
    lists: "array[int]"
    sets: list[CharSet]
    automata: list[Automaton]

    def targets(self, place: int) -> "array[int]":
        """Where a jump goes on."""
        begin = self.args[place] + 1
        return self.lists[begin : begin + self.lists[begin - 1]]

    def only_target(self, place: int) -> int | None:
        """Of a jump that has no choice."""
        begin = self.args[place]
        return self.lists[begin + 1] if self.lists[begin] == 1 else None

    def loop(self, place: int) -> Loop:
        begin = self.args[place]
        body, after, least, most = self.lists[begin : begin + 4]
        return Loop(body, after, least, None if most == NO_MOST else most)

    def chars(self, place: int) -> CharSet:
        return self.sets[self.args[place]]

    def automaton(self, place: int) -> Automaton:
        return self.automata[self.args[place]]


NO_MOST = -1


def empty_program() -> Program:
    """Of no instruction yet."""
    return Program(0, b"", array("l"), array("l"), [], [])
