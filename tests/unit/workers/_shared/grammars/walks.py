"""Texts that a grammar allows, as a model without any sense would write them."""

from __future__ import annotations

import random
import string

from _shared.grammar_making.here import made_here
from _shared.grammar_making.tasks import AnySchema, GbnfTask, SchemaTask
from _shared.grammars.machine import Machine
from _shared.grammars.states import State

SOME = '"\\ é😀.,:{}[]/@+-\n' + string.ascii_letters + string.digits
CLOSING = '"}]'
LONGEST = 600


def of_schema(schema: AnySchema) -> Machine:
    return made_here(SchemaTask(schema))


def of_gbnf(text: str) -> Machine:
    return made_here(GbnfTask(text))


def after(machine: Machine, text: str) -> State | None:
    state: State | None = machine.start
    for char in text:
        machine.rest()
        if state is None:
            return None
        state = state.step(char)
    return state


def allows(machine: Machine, text: str) -> bool:
    state = after(machine, text)
    return state is not None and state.accepts


def written(machine: Machine, draw: random.Random) -> str | None:
    """A whole text; None if it became too long, or nothing could follow."""
    state = machine.start
    text = ""
    while len(text) < LONGEST:
        if state.accepts and (state.is_final or draw.random() < 0.3):
            return text
        machine.rest()
        char = next_char(state, draw, likes_ends=len(text) > 60)
        if not char:
            return None
        following = state.step(char)
        assert following is not None
        state = following
        text += char
    return None


def next_char(state: State, draw: random.Random, *, likes_ends: bool) -> str:
    pool = state.first_chars() or SOME
    if draw.random() < (0.8 if likes_ends else 0.4):
        ends = [char for char in pool if char in CLOSING and state.step(char)]
        if ends:
            return draw.choice(ends)
    possible = [char for char in pool if state.step(char)]
    return draw.choice(possible) if possible else ""
