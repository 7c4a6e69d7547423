"""Grammars that are made while answers run: nobody is stopped for one."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from _shared.grammars.compiled import GrammarCache
from _shared.grammars.nodes import GrammarError

FIELD = {
    "type": "object",
    "properties": {"a": {"type": "string", "maxLength": 20}, "b": {"enum": ["k", "l"]}},
    "required": ["a"],
    "additionalProperties": False,
}


def collections_of(schema: dict[str, Any]) -> int:
    """How often the garbage collector stopped everybody meanwhile."""
    seen = []
    gc.collect()
    gc.callbacks.append(lambda phase, _: seen.append(phase))
    try:
        GrammarCache().of_schema(schema)
    finally:
        gc.callbacks.pop()
    return len(seen)


def test_a_large_schema_stops_nobody_for_the_garbage_collector() -> None:
    names = [f"p{number}" for number in range(60)]
    large = {
        "type": "object",
        "properties": dict.fromkeys(names, FIELD),
        "required": names,
        "additionalProperties": False,
    }
    # One may begin when the collector is allowed again, before the callback is taken off.
    assert collections_of(large) <= 2
    assert gc.isenabled()


def test_the_collector_goes_on_after_a_schema_that_fails() -> None:
    with pytest.raises(GrammarError):
        GrammarCache().of_schema({"type": "string", "minLength": 5, "maxLength": 2})
    assert gc.isenabled()
