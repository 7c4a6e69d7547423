"""Grammars are made once for each task, and the newest are kept."""

from __future__ import annotations

from _shared.grammar_making.here import made_here
from _shared.grammar_making.tasks import SchemaTask
from _shared.grammars.compiled import MOST_KEPT, GrammarCache

FIELD = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def test_the_same_schema_is_made_once_and_the_oldest_goes() -> None:
    cache: GrammarCache[SchemaTask] = GrammarCache(made_here)
    task = SchemaTask(FIELD)
    assert cache.known(task) is None
    first = cache.made(task)
    assert cache.made(SchemaTask({**FIELD})) is first
    for place in range(MOST_KEPT - 1):
        cache.made(SchemaTask({"const": place}))
    assert cache.known(task) is first
    cache.made(SchemaTask({"const": "one more"}))
    assert cache.known(task) is first
    for place in range(MOST_KEPT):
        cache.made(SchemaTask({"const": [place]}))
    assert cache.known(task) is None
