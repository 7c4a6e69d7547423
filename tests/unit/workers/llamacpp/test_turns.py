"""Generations whose grammars cost much take turns, and leave most steps to others."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from llamacpp.server.turns import MOST_PER_STEP, SHARE_PER_STEP, GrammarTurns


class Sampled:
    """A generation whose every token costs its grammar so much."""

    def __init__(self, work: int) -> None:
        self.sampler = self
        self.grammar_work = work

    @property
    def is_costly(self) -> bool:
        return self.grammar_work > SHARE_PER_STEP / 2


def picked_in(running: list[Sampled], steps: int) -> list[list[Sampled]]:
    turns = GrammarTurns()
    found = []
    for _ in range(steps):
        waiting = turns.waiting(running)
        picked = [each for each in running if each not in waiting]
        for each in picked:
            turns.count(each)
        found.append(picked)
    return found


def test_costly_grammars_get_their_share_of_work_in_turns() -> None:
    costly = [Sampled(60_000) for _ in range(4)]
    cheap = Sampled(200)
    steps = picked_in([*costly, cheap], 240)
    assert all(cheap in picked for picked in steps)
    work = sum(each.grammar_work for picked in steps for each in picked)
    assert work < 240 * 1.1 * SHARE_PER_STEP
    counts = [sum(each in picked for picked in steps) for each in costly]
    assert min(counts) == max(counts) == 10


def test_costly_grammars_among_themselves_pay_nothing() -> None:
    costly = [Sampled(60_000) for _ in range(4)]
    assert [len(picked) for picked in picked_in(costly, 8)] == [1] * 8


def test_a_step_is_spent_whoever_spent_it() -> None:
    turns = GrammarTurns()
    turns.waiting([])
    turns.count(Sampled(MOST_PER_STEP))
    assert not turns.is_spent
    turns.count(Sampled(1))
    assert turns.is_spent
    turns.waiting([])
    assert not turns.is_spent
