"""What a response_format becomes, and who waits for it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from _shared.grammar_making.here import made_here
from _shared.grammar_making.tasks import GbnfTask, GrammarTask
from _shared.grammars.machine import Machine
from llamacpp.server.errors import ApiError, BadRequest
from llamacpp.server.grammars import MOST_WAITING, Grammars, WantedForm, form_of, form_of_schema
from tests.unit.workers._shared.grammars.walks import allows

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
KNOWN = WantedForm(GbnfTask('root ::= "x"'), "grammar", "grammar")


def made(wanted: WantedForm | None) -> Machine:
    assert wanted is not None
    return asyncio.run(Grammars(made_here).machine(wanted))


class Slow:
    """Makes what it knows at once, and all else when it may."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.begun: list[GrammarTask] = []

    def __call__(self, task: GrammarTask) -> Machine:
        self.begun.append(task)
        if task != KNOWN.task:
            assert self.may_go_on.wait(30)
        return made_here(task)


def other(number: int) -> WantedForm:
    return WantedForm(GbnfTask(f'root ::= "{number}"'), "grammar", "grammar")


def test_a_grammar_of_the_clients_own_wins() -> None:
    assert allows(made(form_of('root ::= "x"', {"type": "json_object"})), "x")


@pytest.mark.parametrize("given", [None, {}, {"type": "text"}])
def test_free_text_has_no_grammar(given: dict[str, object] | None) -> None:
    assert form_of(None, given) is None


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
    machine = made(form_of(None, given))
    assert allows(machine, good)
    assert not allows(machine, bad)


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
        made(form_of(None, given))
    assert refused.value.param == "response_format"


def with_all_waiting(ask: Callable[[Grammars], Any]) -> Any:
    """What `ask` gets while as many grammars as may are waiting to be made."""

    async def asked() -> Any:
        slow = Slow()
        grammars = Grammars(slow)
        await grammars.machine(KNOWN)
        waiting = [
            asyncio.create_task(grammars.machine(other(number))) for number in range(MOST_WAITING)
        ]
        try:
            while grammars.waiting < MOST_WAITING:
                await asyncio.sleep(0.001)
            return await asyncio.wait_for(ask(grammars), 20)
        finally:
            slow.may_go_on.set()
            await asyncio.gather(*waiting)

    return asyncio.run(asked())


def test_a_known_grammar_waits_for_none_that_is_being_made() -> None:
    assert allows(with_all_waiting(lambda grammars: grammars.machine(KNOWN)), "x")


def test_what_is_read_in_threads_waits_for_no_grammar() -> None:
    """The event loop has few of them, and long bodies are read there."""
    assert with_all_waiting(lambda _: asyncio.to_thread(lambda: "read")) == "read"


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    async def run() -> tuple[int, list[GrammarTask]]:
        slow = Slow()
        grammars = Grammars(slow)
        asked = [asyncio.create_task(grammars.machine(other(0)))]
        while not slow.begun:
            await asyncio.sleep(0.001)
        asked += [asyncio.create_task(grammars.machine(other(number))) for number in (1, 2, 3)]
        while grammars.waiting < len(asked):
            await asyncio.sleep(0.001)
        for task in asked[:3]:
            task.cancel()  # the one that is being made, too
        await asyncio.gather(*asked[:3], return_exceptions=True)
        waiting = grammars.waiting
        slow.may_go_on.set()
        await asyncio.wait_for(asked[3], 20)
        await asyncio.wait_for(grammars.machine(other(0)), 20)
        return waiting, slow.begun

    waiting, begun = asyncio.run(run())
    assert waiting == 1
    assert begun == [other(0).task, other(3).task]


def test_what_is_being_made_ends_with_the_last_who_waits_for_it() -> None:
    async def run() -> tuple[list[GrammarTask], list[GrammarTask]]:
        slow = Slow()
        given_up: list[GrammarTask] = []
        grammars = Grammars(slow, given_up.append)
        asked = [asyncio.create_task(grammars.machine(other(0))) for _ in range(2)]
        while not slow.begun or grammars.waiting < 2:
            await asyncio.sleep(0.001)
        asked[0].cancel()
        await asyncio.gather(asked[0], return_exceptions=True)
        one_left = list(given_up)
        asked[1].cancel()
        await asyncio.gather(asked[1], return_exceptions=True)
        slow.may_go_on.set()
        return one_left, given_up

    one_left, none_left = asyncio.run(run())
    assert not one_left
    assert none_left == [other(0).task]


class Schema(dict[str, Any]):
    """One that can be seen to be gone."""


def test_who_left_leaves_nothing_behind_while_another_grammar_is_made() -> None:
    """Schemas may have megabytes, and what is being made may take seconds."""

    async def run() -> bool:
        slow = Slow()
        grammars = Grammars(slow)
        first = asyncio.create_task(grammars.machine(other(0)))
        while not slow.begun:
            await asyncio.sleep(0.001)
        schema = Schema(type="integer")
        trace = weakref.ref(schema)
        left = asyncio.create_task(grammars.machine(form_of_schema(schema)))
        while grammars.waiting < 2:
            await asyncio.sleep(0.001)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        del schema, left
        await asyncio.to_thread(gc.collect)
        is_gone = trace() is None
        slow.may_go_on.set()
        await first
        return is_gone

    assert asyncio.run(run())


def test_there_is_an_end_to_what_waits() -> None:
    with pytest.raises(ApiError) as refused:
        with_all_waiting(lambda grammars: grammars.machine(other(-1)))
    assert refused.value.status == 429


def test_without_a_process_that_makes_grammars_the_server_is_to_blame() -> None:
    def fail(_: GrammarTask) -> Machine:
        raise BlockingIOError("no process")

    with pytest.raises(ApiError) as refused:
        asyncio.run(Grammars(fail).machine(KNOWN))
    assert refused.value.status == 503
