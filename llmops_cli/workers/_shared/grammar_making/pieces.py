"""Machines as bytes, in pieces of a bounded number of objects.

Whoever reads one holds the interpreter for no longer than a piece takes, so that other threads have
their turn between them. What pieces share is sent once.
"""

import io
import pickle
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from _shared.grammars.machine import Machine
from _shared.grammars.nodes import Automaton, CharSet
from _shared.grammars.program import Program, empty_program

MOST_SETS = 128
MOST_AUTOMATA = 16
"""In a piece. Instructions are numbers in a few columns, however many they are."""


class Piece(NamedTuple):
    """Of the machine of this number: its program without sets and automata, or some of those."""

    number: int
    program: Program | None = None
    sets: Sequence[CharSet] = ()
    automata: Sequence[Automaton] = ()


def pieces_of(program: Program, number: int) -> Iterator[Piece]:
    sets = program.sets
    automata = program.automata
    yield Piece(number, program._replace(sets=[], automata=[]))
    for place in range(0, len(sets), MOST_SETS):
        yield Piece(number, sets=sets[place : place + MOST_SETS])
    for place in range(0, len(automata), MOST_AUTOMATA):
        yield Piece(number, automata=automata[place : place + MOST_AUTOMATA])


class MachineWriter(pickle.Pickler):
    """The pieces of one machine, and of those that are within it."""

    def __init__(self, machine: Machine) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, pickle.HIGHEST_PROTOCOL)
        self._numbers: dict[int, int] = {}
        self._waiting: deque[Machine] = deque()
        self._number_of(machine)

    def _number_of(self, machine: Machine) -> int:
        known = self._numbers.get(id(machine))
        if known is None:
            known = len(self._numbers)
            self._numbers[id(machine)] = known
            self._waiting.append(machine)
        return known

    def persistent_id(self, value: object) -> int | None:
        """A machine within another one is sent by itself: it may even be within itself."""
        return self._number_of(value) if isinstance(value, Machine) else None

    def pieces(self) -> Iterator[bytes]:
        while self._waiting:
            machine = self._waiting.popleft()
            yield from map(self._pickled, pieces_of(machine.program, self._number_of(machine)))

    def _pickled(self, piece: Piece) -> bytes:
        self._bytes.seek(0)
        self._bytes.truncate()
        self.dump(piece)
        return self._bytes.getvalue()


class MachineReader(pickle.Unpickler):  # noqa: S301 - of our own process
    """Puts the pieces of one machine together."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes)
        self._machines: dict[int, Machine] = {}

    def persistent_load(self, number: int) -> Machine:
        found = self._machines.get(number)
        if found is None:
            found = Machine(empty_program())
            self._machines[number] = found
        return found

    def add(self, raw: bytes) -> None:
        self._bytes.seek(0)
        self._bytes.truncate()
        self._bytes.write(raw)
        self._bytes.seek(0)
        piece: Piece = self.load()
        machine = self.persistent_load(piece.number)
        if piece.program is not None:
            machine.program = piece.program
        machine.program.sets.extend(piece.sets)
        machine.program.automata.extend(piece.automata)

    def machine(self) -> Machine:
        """After the last piece."""
        return self.persistent_load(0)
