"""When KV cells are divided and when they are a pool."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from llamacpp.server.layout import (
    FEWEST_SEQUENCES,
    LEAST_SHARE,
    SHORT_FOR_S,
    CellLayout,
    suits_shares,
)
from tests.unit.workers.llamacpp.test_scheduler import ModelOfLlama

SHARE = 1024


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def begun(sequences: int) -> tuple[CellLayout, ModelOfLlama, Clock]:
    clock = Clock()
    model = ModelOfLlama(pool=sequences * SHARE, batch=512, share=SHARE)
    return CellLayout(model, sequences=sequences, clock=clock), model, clock


def test_a_long_request_gets_the_pool_until_none_has_come_for_a_while() -> None:
    layout, model, clock = begun(32)
    assert not layout.must_change(SHARE, idle=True)
    assert layout.must_change(SHARE + 1, idle=False)
    layout.change()
    assert not model.is_divided
    clock.now_s += SHORT_FOR_S - 1
    assert not layout.must_change(10, idle=True), "a long one may come again"
    clock.now_s += 2
    assert not layout.must_change(10, idle=False), "what runs would be computed anew"
    assert layout.must_change(10, idle=True)
    layout.change()
    assert model.is_divided


def test_a_pool_stays_while_long_ones_run() -> None:
    layout, _, clock = begun(32)
    layout.change()
    for _ in range(5):
        clock.now_s += SHORT_FOR_S / 2
        assert not layout.must_change(SHARE + 1, idle=False)
    assert not layout.must_change(10, idle=True)


def test_few_sequences_never_go_back_to_shares() -> None:
    layout, _, clock = begun(FEWEST_SEQUENCES - 1)
    layout.change()
    clock.now_s += 10 * SHORT_FOR_S
    assert not layout.must_change(10, idle=True)


@pytest.mark.parametrize(
    ("sequences", "share", "suits"),
    [(64, 1024, True), (64, LEAST_SHARE - 1, False), (FEWEST_SEQUENCES - 1, 4096, False)],
    ids=["many", "small shares", "few"],
)
def test_many_sequences_with_room_get_shares(sequences: int, share: int, suits: bool) -> None:
    assert suits_shares(sequences=sequences, share=share) is suits
