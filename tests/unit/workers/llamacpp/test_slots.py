"""Which slot a request gets."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from llamacpp.server.drafting import DraftState
from llamacpp.server.generation import Generation
from llamacpp.server.sampling import Sampler, SamplingParams
from llamacpp.server.slots import Running, Slot, SlotPool
from tests.unit.workers.llamacpp.test_scheduler import ModelOfLlama
from tests.unit.workers.llamacpp.vocabulary import NumberedVocabulary

COUNT = 10
PARAMS = SamplingParams(temperature=0)
TEXT = list(range(1, 31))


def request(tokens: list[int]) -> Generation:
    return Generation(tokens, PARAMS, max_tokens=4, stops=[], deliver=lambda _: None)


def running(slot: Slot) -> Running:
    sampler = Sampler(NumberedVocabulary(), PARAMS, window=100)
    return Running(request([1]), slot, sampler, DraftState(0))


def model_with(share: int) -> ModelOfLlama:
    return ModelOfLlama(pool=COUNT * 100, batch=16, share=share)


def pool_with(busy: list[int], model: ModelOfLlama) -> SlotPool:
    pool = SlotPool(model, COUNT, reuse=True)
    for number in busy:
        pool.occupy(running(pool.slots[number]))
    return pool


@pytest.mark.parametrize(
    ("busy", "chosen"),
    [
        ([0, 1, 3, 4], {2}),
        ([0, 1, 5, 7], {6}),
        ([4, 5], {3, 6}),
        ([0, 1, 2], {3}),
    ],
    ids=["a hole", "the smallest hole", "either side", "the end"],
)
def test_shares_are_taken_side_by_side(busy: list[int], chosen: set[int]) -> None:
    pool = pool_with(busy, model_with(100))
    pool.slots[9].cells = TEXT
    found = pool.best_free(request([*TEXT, 31]))
    assert found is not None
    assert found.sequence in chosen


@pytest.mark.parametrize("share", [0, 100], ids=["pool", "shares"])
def test_where_nothing_runs_the_one_that_holds_the_beginning_is_taken(share: int) -> None:
    pool = pool_with([], model_with(share))
    pool.slots[7].cells = TEXT
    found = pool.best_free(request([*TEXT, 31]))
    assert found is pool.slots[7]


def test_in_a_pool_neighbours_do_not_matter() -> None:
    pool = pool_with([0, 1], model_with(0))
    pool.slots[9].cells = TEXT
    assert pool.best_free(request([*TEXT, 31])) is pool.slots[9]


def test_a_beginning_that_another_slot_holds_is_copied_to_the_one_that_is_taken() -> None:
    model = model_with(100)
    pool = pool_with([0, 1], model)
    model.decode([(token, place, 9, False) for place, token in enumerate(TEXT[:16])])
    pool.slots[9].cells = TEXT[:16]
    taken = pool.best_free(request([*TEXT, 31]))
    assert taken is pool.slots[2]
    one = running(taken)
    one.generation.tokens[:] = [*TEXT, 31]
    pool.occupy(one)
    assert pool.begin(one)
    assert taken.cells == TEXT[:16]
    assert len(model.sequences[2]) == 16
