"""Batches depend on data, seed and step alone, packed or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed")

from _shared.protocol import JobError
from train.data.batch import Batch
from train.data.order import Order
from train.data.sample import TrainingSample, sample_of
from train.data.source import InMemory, PackedSource, PlainSource, Stream, memory_source

BATCH = 4


def samples_of(lengths: list[int], *, is_divisible: bool = False) -> list[TrainingSample]:
    """Token ids tell where they come from: sample number * 1000 + place."""
    samples = []
    for number, length in enumerate(lengths):
        ids = [number * 1000 + place for place in range(length)]
        sample = sample_of(number, ids, [1.0] * length, is_divisible=is_divisible)
        samples.append(sample)
    return samples


def stream_of(samples: list[TrainingSample], *, once: bool = False) -> Stream:
    order = Order([len(samples)], None, 7)
    return Stream(InMemory(samples), order, once=once)


def packed(samples: list[TrainingSample], length: int, *, once: bool = False) -> PackedSource:
    return PackedSource(stream_of(samples, once=once), BATCH, length)


def equal(one: Batch, other: Batch) -> bool:
    fields = zip(one[:4], other[:4], strict=True)
    return one[4:] == other[4:] and all(bool((a == b).all()) for a, b in fields)


def test_a_row_is_what_comes_after_each_token() -> None:
    source = memory_source([sample_of(5, [9, 8, 7], [0.0, 0.0, 1.0])], batch_size=2, seed=0)
    batch = source.rows(0, [0, 1])
    assert batch.ids_BT.tolist() == [[9, 8], [9, 8]]
    assert batch.targets_BT.tolist() == [[0, 7], [0, 7]]
    assert batch.weights_BT.tolist() == [[0, 1], [0, 1]]
    assert batch.positions_BT.tolist() == [[0, 1], [0, 1]]
    assert batch.documents == 1
    assert batch.samples == (5, 5)


def test_an_epoch_has_every_sample_once() -> None:
    source = memory_source(samples_of([3] * 12), batch_size=BATCH, seed=1)
    seen = [number for step in range(3) for number in source.rows(step, range(BATCH)).samples]
    assert sorted(seen) == list(range(12))


@pytest.mark.parametrize("is_packed", [False, True])
def test_rows_are_the_same_for_every_layout_and_after_every_jump(is_packed: bool) -> None:
    samples = samples_of([3, 9, 5, 2, 14, 7, 4, 6, 1, 11])

    def fresh() -> PackedSource | PlainSource:
        return packed(samples, 20) if is_packed else PlainSource(stream_of(samples), BATCH)

    whole = fresh()
    steps = [whole.rows(step, range(BATCH)) for step in range(6)]
    half = fresh()
    for step, batch in enumerate(steps):
        mine = half.rows(step, [1, 3])
        for at, row in enumerate((1, 3)):
            length = int(mine.lengths()[at])
            assert mine.ids_BT[at, :length].equal(batch.ids_BT[row, :length])
    jumper = fresh()
    for step in (4, 1, 5, 5, 0):
        assert equal(jumper.rows(step, range(BATCH)), steps[step])


def test_a_packed_state_goes_on_where_it_was() -> None:
    samples = samples_of([30, 9, 50, 2, 14], is_divisible=True)
    first = packed(samples, 16)
    for step in range(3):
        first.rows(step, range(BATCH))
    state = first.state()
    wanted = first.rows(3, range(BATCH))
    second = packed(samples, 16)
    second.restore(state)
    assert second.state() == state
    assert equal(second.rows(3, range(BATCH)), wanted)
    assert equal(second.rows(0, range(BATCH)), packed(samples, 16).rows(0, range(BATCH)))


def test_the_state_of_other_data_is_refused() -> None:
    source = memory_source(samples_of([3]), batch_size=1, seed=0)
    with pytest.raises(JobError, match="not those that this run"):
        source.restore({"data": "something else"})


lengths = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(lambda n: max(n) > 1)


@given(lengths, st.booleans())
@settings(deadline=None, max_examples=60)
def test_packing_loses_nothing_and_repeats_nothing(found: list[int], is_divisible: bool) -> None:
    length = 13 if is_divisible else 40
    source = packed(samples_of(found, is_divisible=is_divisible), length, once=True)
    targets: list[int] = []
    begun: list[int] = []
    step = 0
    while not source.is_over(step):
        batch = source.rows(step, range(BATCH))
        targets += batch.targets_BT[batch.weights_BT > 0].tolist()
        begun += batch.samples
        starts = (batch.positions_BT == 0) & (batch.weights_BT > 0)
        assert int(starts.sum(1).max()) <= batch.documents
        step += 1
    wanted = [n * 1000 + place for n, count in enumerate(found) for place in range(1, count)]
    assert sorted(targets) == sorted(wanted)
    assert sorted(begun) == [number for number, count in enumerate(found) if count > 1]
    used = source.used()
    assert used.samples == len(found)
    assert used.tokens == len(wanted)
    assert used.unsupervised == sum(count < 2 for count in found)


def test_texts_fill_rows_to_the_last_token() -> None:
    source = packed(samples_of([100, 3, 41, 77], is_divisible=True), 16)
    for step in range(4):
        batch = source.rows(step, range(BATCH))
        assert bool((batch.weights_BT == 1).all())


def test_nothing_to_learn_is_an_error_and_no_endless_search() -> None:
    empty = [sample_of(n, [1, 2], [0.0, 0.0]) for n in range(3)]
    with pytest.raises(JobError, match="no sample has a token"):
        packed(empty, 8).rows(0, [0])


def test_validation_ends_with_empty_rows() -> None:
    source = PlainSource(stream_of(samples_of([4] * 6), once=True), BATCH)
    assert not source.is_over(1)
    last = source.rows(1, range(BATCH))
    assert len(last.samples) == 2
    assert float(last.weights_BT[2:].sum()) == 0
    assert source.is_over(2)


def test_an_error_in_what_is_read_ahead_waits_for_its_step() -> None:
    class Breaking(InMemory):
        def fetch(self, places):  # type: ignore[no-untyped-def]
            if any(place.number == 5 for place in places):
                raise JobError("UsageError", "line 6 is wrong")
            return super().fetch(places)

    order = Order([8], None, 0)
    places = [order.place(position).number for position in range(8)]
    bad = places.index(5) // 2
    source = PlainSource(Stream(Breaking(samples_of([3] * 8)), order), 2)
    for step in range(bad):
        source.rows(step, [0, 1])
    with pytest.raises(JobError, match="line 6 is wrong"):
        source.rows(bad, [0, 1])


def test_weights_may_be_fractions() -> None:
    sample = sample_of(0, [1, 2, 3], [0.1, 0.1, 1.0])
    batch = memory_source([sample], batch_size=1, seed=0).rows(0, [0])
    assert np.allclose(batch.weights_BT.numpy(), [[0.1, 1.0]])
