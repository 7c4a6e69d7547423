"""Grammars are made once for each task, and the newest are kept."""

from __future__ import annotations

import pytest

from _shared.grammar_making.here import made_here
from _shared.grammar_making.tasks import SchemaTask
from _shared.grammars.compiled import MOST_KEPT, MOST_REFUSALS, GrammarCache
from _shared.grammars.machine import Machine
from _shared.grammars.nodes import GrammarError, MakerEnded

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


class Refusing:
    """Counts what it is asked to make, all of which it refuses."""

    def __init__(self, error: GrammarError) -> None:
        self.error = error
        self.asked: list[SchemaTask] = []

    def __call__(self, task: SchemaTask) -> Machine:
        self.asked.append(task)
        raise self.error


def ask(cache: GrammarCache[SchemaTask], task: SchemaTask) -> None:
    with pytest.raises(GrammarError, match="too long"):
        cache.made(task)


def test_what_was_refused_is_not_tried_again() -> None:
    make = Refusing(GrammarError("it takes too long"))
    cache: GrammarCache[SchemaTask] = GrammarCache(make)
    task = SchemaTask(FIELD)
    ask(cache, task)
    ask(cache, SchemaTask({**FIELD}))
    with pytest.raises(GrammarError, match="too long"):
        cache.known(task)
    assert make.asked == [task]


def test_the_newest_refusals_are_kept() -> None:
    make = Refusing(GrammarError("it takes too long"))
    cache: GrammarCache[SchemaTask] = GrammarCache(make)
    for place in range(MOST_REFUSALS + 1):
        ask(cache, SchemaTask({"const": place}))
    ask(cache, SchemaTask({"const": 1}))
    assert len(make.asked) == MOST_REFUSALS + 1
    ask(cache, SchemaTask({"const": 0}))
    assert len(make.asked) == MOST_REFUSALS + 2


def test_what_only_the_maker_failed_at_is_tried_again() -> None:
    make = Refusing(MakerEnded("it took too long"))
    cache: GrammarCache[SchemaTask] = GrammarCache(make)
    task = SchemaTask(FIELD)
    ask(cache, task)
    assert cache.known(task) is None
    ask(cache, task)
    assert make.asked == [task, task]


def test_a_refusal_that_quotes_all_it_was_given_takes_no_memory() -> None:
    cache: GrammarCache[SchemaTask] = GrammarCache(Refusing(GrammarError("too long" * 10_000)))
    ask(cache, SchemaTask(FIELD))
    with pytest.raises(GrammarError) as again:
        cache.made(SchemaTask(FIELD))
    assert len(str(again.value)) < 2_000
