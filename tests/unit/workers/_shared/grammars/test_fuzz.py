"""Drawn schemas: each is refused in words, or every text of its grammar is valid.

LLMOPS_FUZZ_SCHEMAS=10000 tries as many.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from _shared.grammars.nodes import GrammarError
from tests.drawn_schemas import drawn_rules, drawn_schema
from tests.unit.workers._shared.grammars.walks import of_gbnf, of_schema, written

COUNT = int(os.environ.get("LLMOPS_FUZZ_SCHEMAS", "150"))
TEXTS_EACH = 3


@pytest.mark.parametrize(
    ("drawn", "least_answered"),
    [(drawn_schema, 0.85), (drawn_rules, 0.5)],
    ids=["keywords", "rules"],
)
def test_what_is_written_for_a_schema_is_valid(
    drawn: Callable[[int], dict[str, Any]], least_answered: float
) -> None:
    answered = 0
    unfinished = 0
    for number in range(COUNT):
        schema = drawn(number)
        try:
            machine = of_schema(schema)
        except GrammarError:
            continue
        answered += 1
        validator = jsonschema.Draft202012Validator(schema)
        draw = random.Random(number)
        for _ in range(TEXTS_EACH):
            try:
                text = written(machine, draw)
            except GrammarError:
                # Too much work for one character: that answer ends in an error of its own.
                text = None
            unfinished += text is None
            if text is not None:
                assert validator.is_valid(json.loads(text)), (number, text)
    # Many of the rules contradict what stands beside them.
    assert answered > least_answered * COUNT
    # Endless recursion of the drawn schemas, and arrays that ran out of different items.
    assert unfinished < 0.05 * TEXTS_EACH * answered


@pytest.mark.parametrize("seed", range(4))
def test_grammars_of_random_letters_are_refused_or_run(seed: int) -> None:
    draw = random.Random(seed)
    signs = ["root", "::=", '"a"', "[a-c]", "(", ")", "*", "+", "?", "{2,9}", "|", "\n", "b", "."]
    for _ in range(150):
        body = " ".join(draw.choices(signs, k=draw.randint(1, 12)))
        try:
            machine = of_gbnf(f'root ::= {body}\nb ::= "x" | root "y"')
            state = machine.start
            for char in draw.choices("abcxy", k=20):
                machine.rest()
                state = state.step(char) or state
        except GrammarError as refused:
            assert str(refused)
