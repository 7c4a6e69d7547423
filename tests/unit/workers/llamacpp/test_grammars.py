"""What a response_format becomes."""

from __future__ import annotations

import pytest

from llamacpp.server.errors import BadRequest
from llamacpp.server.grammars import grammar_of

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def test_a_grammar_of_the_clients_own_wins() -> None:
    assert grammar_of("root ::= x", {"type": "json_object"}) == "root ::= x"


@pytest.mark.parametrize("given", [None, {}, {"type": "text"}])
def test_free_text_has_no_grammar(given: dict[str, object] | None) -> None:
    assert grammar_of(None, given) is None


@pytest.mark.parametrize(
    "given",
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
        {"type": "json_schema", "schema": SCHEMA},
    ],
)
def test_json_has_one(given: dict[str, object]) -> None:
    grammar = grammar_of(None, given)
    assert grammar is not None
    rules = [line.partition("::=")[0].strip() for line in grammar.splitlines()]
    assert "root" in rules


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"type": "xml"}, "unknown type 'xml'"),
        ({"type": "json_schema"}, "schema is missing"),
        ({"type": "json_schema", "json_schema": "text"}, "schema is missing"),
        ({"type": "json_schema", "schema": {"$ref": "#/nowhere"}}, "cannot become a grammar"),
    ],
)
def test_anything_else_is_refused(given: dict[str, object], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        grammar_of(None, given)
