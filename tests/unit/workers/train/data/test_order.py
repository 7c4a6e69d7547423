"""The stream is a pure function of seed and place, and every epoch has every sample once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _shared.protocol import JobError
from train.data.order import BLOCK, Order, quotas_of, shuffled


@given(st.integers(1, 300), st.integers(0, 2**64 - 1))
def test_a_shuffle_is_a_permutation(count: int, key: int) -> None:
    taken = [shuffled(index, count, key=key) for index in range(count)]
    assert sorted(taken) == list(range(count))


def test_a_shuffle_favours_no_place() -> None:
    count = 7
    first = Counter(shuffled(0, count, key=key) for key in range(7000))
    assert all(850 < first[index] < 1150 for index in range(count))


def test_a_huge_shuffle_keeps_nothing_in_memory() -> None:
    count = 10**15
    taken = {shuffled(index, count, key=3) for index in range(1000)}
    assert len(taken) == 1000
    assert max(taken) < count


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4).filter(any), st.integers(-5, 5))
def test_without_weights_an_epoch_is_all_rows(sizes: list[int], seed: int) -> None:
    order = Order(sizes, None, seed)
    for epoch in range(2):
        begin = epoch * order.size
        seen = Counter(order.place(begin + index) for index in range(order.size))
        assert set(seen.values()) == {1}
        assert len(seen) == sum(sizes)


def test_epochs_and_seeds_differ() -> None:
    def places(seed: int, epoch: int) -> list[int]:
        order = Order([50], None, seed)
        return [order.place(epoch * 50 + index).number for index in range(50)]

    assert places(0, 0) == places(0, 0)
    assert places(0, 0) != places(0, 1)
    assert places(0, 0) != places(1, 0)


def test_weighted_files_have_their_share_of_every_block_and_epochs_of_their_own() -> None:
    order = Order([30, 1000], [3.0, 1.0], seed=5)
    assert order.shares() == (0.75, 0.25)
    for block in range(2):
        places = [order.place(block * BLOCK + slot) for slot in range(BLOCK)]
        files = Counter(place.file for place in places)
        assert files == {0: 750, 1: 250}
    small = [place.number for place in places if place.file == 0]
    assert max(Counter(small).values()) <= 26


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5))
def test_quotas_fill_a_block(weights: list[float]) -> None:
    if min(weights) / sum(weights) < 1 / BLOCK:
        return
    quotas = quotas_of(weights)
    assert sum(quotas) == BLOCK
    for weight, quota in zip(weights, quotas, strict=True):
        assert abs(quota - weight * BLOCK / sum(weights)) < 1 + 1e-6


def test_a_weight_without_a_place_is_refused() -> None:
    with pytest.raises(JobError, match="less than one sample in 1000"):
        quotas_of([1.0, 0.0001])
