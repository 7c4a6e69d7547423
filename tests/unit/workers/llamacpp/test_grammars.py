"""What a response_format becomes."""

from __future__ import annotations

from typing import Any

import pytest

from _shared.grammars.compiled import GrammarCache
from llamacpp.server.errors import BadRequest
from llamacpp.server.grammars import grammar_of
from tests.unit.workers._shared.grammars.walks import allows

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_a_grammar_of_the_clients_own_wins() -> None:
    machine = grammar_of('root ::= "x"', {"type": "json_object"}, GrammarCache())
    assert machine is not None
    assert allows(machine, "x")


@pytest.mark.parametrize("given", [None, {}, {"type": "text"}])
def test_free_text_has_no_grammar(given: dict[str, object] | None) -> None:
    assert grammar_of(None, given, GrammarCache()) is None


@pytest.mark.parametrize(
    ("given", "good", "bad"),
    [
        ({"type": "json_object"}, '{"x": [1]}', "[1]"),
        ({"type": "json_schema", "json_schema": {"schema": SCHEMA}}, '{"a": 1}', "{}"),
        ({"type": "json_schema", "schema": SCHEMA}, '{"a": 1}', '{"a": "1"}'),
        ({"type": "json_object", "schema": SCHEMA}, '{"a": 1}', '{"a": "1"}'),
        ({"type": "json_schema", "json_schema": {"schema": True}}, "[1]", "x"),
    ],
)
def test_json_is_held_to_its_schema(given: dict[str, Any], good: str, bad: str) -> None:
    machine = grammar_of(None, given, GrammarCache())
    assert machine is not None
    assert allows(machine, good)
    assert not allows(machine, bad)


def test_the_same_schema_is_made_once_and_the_oldest_goes() -> None:
    cache = GrammarCache()
    first = cache.of_schema(SCHEMA)
    assert cache.of_schema({**SCHEMA}) is first
    for place in range(40):
        cache.of_schema({"const": place})
    assert cache.of_schema(SCHEMA) is not first


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"type": "xml"}, "unknown type 'xml'"),
        ({"type": "json_schema"}, "schema is missing"),
        ({"type": "json_schema", "json_schema": "text"}, "schema is missing"),
        ({"type": "json_schema", "schema": {"$ref": "#/nowhere"}}, "cannot become a grammar"),
        (
            {"type": "json_schema", "schema": {"unevaluatedItems": False}},
            "unevaluatedItems is not supported",
        ),
    ],
)
def test_anything_else_is_refused(given: dict[str, object], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason) as refused:
        grammar_of(None, given, GrammarCache())
    assert refused.value.param == "response_format"
