"""Where a pipeline is cut, and what it holds at once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.parameters import tensors_of
from llmops_cli.sizing.stages import balanced, in_flight, stages_of
from tests.unit.sizing.configs import LLAMA_3_8B, TINY


def _largest(sizes: list[int], cuts: tuple[int, ...]) -> int:
    bounds = [0, *cuts, len(sizes)]
    return max(sum(sizes[a:b]) for a, b in pairwise(bounds))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, 6))
def test_cuts_are_ordered_leave_no_group_empty_and_balance(sizes: list[int], count: int) -> None:
    count = min(count, len(sizes))
    cuts = balanced(tuple(sizes), count)
    bounds = [0, *cuts, len(sizes)]
    assert len(bounds) == count + 1
    assert sorted(set(bounds)) == bounds
    for number in range(len(cuts)):
        for shift in (-1, 1):
            moved = list(cuts)
            moved[number] += shift
            if sorted(set(moved)) == moved and moved[0] > 0 and moved[-1] < len(sizes):
                assert _largest(sizes, cuts) <= _largest(sizes, tuple(moved))


def test_each_tensor_is_on_one_stage_and_tied_embeddings_on_two() -> None:
    for name in ("llama", "gpt2", "gemma2"):
        architecture = architecture_of(TINY[name])
        stages = stages_of(architecture, Layout(strategy="pp", pipeline=3, micro_batches=4))
        held = [tensor.name for stage in stages for tensor in stage.tensors]
        whole = [tensor.name for tensor in tensors_of(architecture)]
        extra = [whole[0]] if architecture.is_tied else []
        assert sorted(held) == sorted(whole + extra)


def test_interleaved_devices_have_blocks_from_several_places() -> None:
    layout = Layout(strategy="pp", pipeline=4, chunks=2, schedule="interleaved", micro_batches=8)
    stages = stages_of(architecture_of(LLAMA_3_8B), layout)
    assert sorted(block for stage in stages for block in stage.blocks) == list(range(32))
    assert stages[0].blocks != tuple(range(len(stages[0].blocks)))


def test_schedules_hold_what_their_papers_say() -> None:
    def held(schedule: str, number: int, chunks: int = 1) -> float:
        layout = Layout(
            strategy="pp", pipeline=4, micro_batches=16, schedule=schedule, chunks=chunks
        )
        return in_flight(layout, number)

    assert held("gpipe", 0) == 16
    assert [held("1f1b", number) for number in range(4)] == [4, 3, 2, 1]
    assert held("interleaved", 0, chunks=2) == 11 / 2
    assert in_flight(Layout(strategy="fsdp", shards=8), 0) == 1
