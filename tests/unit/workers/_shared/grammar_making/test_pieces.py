"""A machine that was sent is the machine that was made, and no piece of it is large."""

from __future__ import annotations

import random
from typing import Any

import pytest

from _shared.grammar_making.pieces import (
    MOST_AUTOMATA,
    MOST_SETS,
    MachineReader,
    MachineWriter,
    pieces_of,
)
from _shared.grammars.machine import Machine
from _shared.grammars.nodes import GrammarError
from tests.drawn_schemas import drawn_schema
from tests.unit.workers._shared.grammars.walks import of_gbnf, of_schema, written

NESTED: dict[str, Any] = {
    "type": "array",
    "uniqueItems": True,
    "items": {"anyOf": [{"type": "string", "pattern": "^[ab]{1,3}$"}, {"$ref": "#"}]},
    "maxItems": 3,
}
"""Arrays of different items within such arrays: a machine that is a part of itself."""
MANY_SETS = "root ::= " + " ".join(f"[a-{chr(0x100 + place)}]" for place in range(500))
MANY_AUTOMATA = {
    "type": "object",
    "properties": {
        f"p{place}": {"type": "string", "pattern": f"^{place}x*$"} for place in range(100)
    },
}


def sent(machine: Machine) -> Machine:
    reader = MachineReader()
    for piece in MachineWriter(machine).pieces():
        reader.add(piece)
    return reader.machine()


def assert_alike(machine: Machine) -> None:
    other = sent(machine)
    for seed in range(5):
        draw = random.Random(seed)
        again = random.Random(seed)
        assert written(machine, draw) == written(other, again)


@pytest.mark.parametrize("seed", range(60))
def test_a_sent_machine_writes_what_it_wrote(seed: int) -> None:
    schema = drawn_schema(seed)
    try:
        machine = of_schema(schema)
    except GrammarError:
        return
    assert_alike(machine)


def test_a_machine_within_itself_is_sent_once() -> None:
    machine = of_schema(NESTED)
    assert_alike(machine)
    assert len([*MachineWriter(machine).pieces()]) < 20


@pytest.mark.parametrize(
    "machine", [of_gbnf(MANY_SETS), of_schema(MANY_AUTOMATA)], ids=["sets", "automata"]
)
def test_no_piece_is_large(machine: Machine) -> None:
    """So whoever reads them never holds the interpreter for long, however large the grammar is."""
    pieces = [*pieces_of(machine.program, 0)]
    assert len(pieces) > 4
    for piece in pieces:
        assert len(piece.sets) <= MOST_SETS
        assert len(piece.automata) <= MOST_AUTOMATA
        assert piece.program is None or not (piece.program.sets or piece.program.automata)
    assert_alike(machine)
