"""What a token costs is bounded for every grammar: counted in work, not in time."""

from __future__ import annotations

import json
import math
import time
from itertools import product
from typing import Any

import pytest

from _shared.grammars import schemas
from _shared.grammars.machine import MOST_WORK_PER_PICK
from _shared.grammars.nodes import GrammarError
from _shared.grammars.tokens import TokenMatcher, TokenTexts
from tests.unit.workers._shared.grammars.walks import allows, of_schema

MANY = [*range(8_000)]
CHARS = [chr(code) for code in range(32, 127)] + ["\n", "\t", "é", "ж"]
PIECES = [*CHARS, *map("".join, product(CHARS, CHARS))]
TEXTS = TokenTexts([b"", b"\xf0\x9f", b"\xc3", *(piece.encode() for piece in PIECES)])


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine, or one that measures coverage, takes other times for the same work."""
    monkeypatch.setattr(schemas, "LONGEST_CPU_S", math.inf)


def numbered(number: int) -> list[dict[str, Any]]:
    return [
        {"type": "string", "pattern": f"^{100000 + number}a*$"},
        {"const": f"item {number}"},
        {"type": "number", "minimum": number, "maximum": number + 0.5},
        {"type": "string", "pattern": f"^.*{1000 + number}.$", "maxLength": 900},
        {
            "type": "object",
            "properties": {"kind": {"const": number}, "text": {"type": "string"}},
            "required": ["kind", "text"],
            "additionalProperties": False,
        },
        {"type": "array", "items": {"enum": [number, "x"]}, "uniqueItems": True, "minItems": 1},
    ]


def kind_of(place: int, count: int) -> dict[str, Any]:
    return {"anyOf": [numbered(number)[place] for number in range(count)]}


def most_work(schema: dict[str, Any]) -> int:
    """Of one pick on the way through an answer, listing all that is allowed at each."""
    matcher = TokenMatcher(of_schema(schema), TEXTS)
    most = 0
    for _ in range(24):
        matcher.begin_pick()
        try:
            allowed = matcher.allowed(at_any_cost=True).tokens
            if allowed:
                matcher.accept(allowed[-1])
        except GrammarError:
            return max(most, matcher.work)
        most = max(most, matcher.work)
        if not allowed:
            break
    return most


@pytest.mark.parametrize("place", range(6))
def test_no_schema_takes_more_than_its_bound(place: int) -> None:
    assert most_work(kind_of(place, 300)) < 1.5 * MOST_WORK_PER_PICK


@pytest.mark.parametrize("place", [1, 4], ids=["constants", "objects"])
def test_alternatives_that_begin_alike_cost_no_more_for_being_many(place: int) -> None:
    few = most_work(kind_of(place, 20))
    assert most_work(kind_of(place, 400)) < 4 * few


def test_one_of_many_patterns_costs_one_look_at_each() -> None:
    assert most_work(kind_of(0, 500)) < 60 * 500


def test_alternatives_mean_the_same_when_they_are_put_together() -> None:
    machine = of_schema(kind_of(4, 30))
    for number in range(30):
        state = machine.start
        for char in json.dumps({"kind": number, "text": "a"}):
            following = state.step(char)
            assert following is not None
            state = following
        assert state.accepts
    assert machine.start.step("[") is None


@pytest.mark.quiet
@pytest.mark.parametrize(
    "schema",
    [
        {"items": {"enum": MANY}, "uniqueItems": True},
        {"oneOf": [{"enum": MANY}, {"enum": [-value - 1 for value in MANY]}]},
        {"enum": MANY, "anyOf": [{"enum": MANY}]},
        {"allOf": [{"enum": MANY}, {"enum": MANY[::-1]}]},
    ],
    ids=["different", "apart", "beside", "both"],
)
def test_long_lists_are_compared_in_one_pass(schema: dict[str, object]) -> None:
    begun_s = time.thread_time()
    assert allows(of_schema(schema), json.dumps([5] if "items" in schema else 5))
    assert time.thread_time() - begun_s < 2
