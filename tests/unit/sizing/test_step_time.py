"""Predicted speed: laws, and what torchtitan measured."""

from __future__ import annotations

import pytest

from llmops_cli.sizing.devices import Cluster, cpu_device, device_named
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.step_time import StepTime, bubble, step_time
from llmops_cli.sizing.work import Work
from tests.unit.sizing.configs import LLAMA_3_8B, LLAMA_3_70B, TINY, Config


def _time(config: Config, layout: Layout, *, gpu: str = "h100", **work: object) -> StepTime:
    wishes = {"sequence_length": 8192, "batch_size": 2 * layout.shares, **work}
    nodes = max(1, layout.devices // 8)
    cluster = Cluster(device=device_named(gpu), nodes=nodes, devices_per_node=8)
    return step_time(
        architecture_of(config),
        Work(**wishes),  # type: ignore[arg-type]
        layout,
        cluster,
    )


@pytest.mark.parametrize(
    ("is_compiled", "measured"),
    [(False, 5762), (True, 6667)],
)
def test_torchtitans_speed_lies_in_the_band(is_compiled: bool, measured: float) -> None:
    time = _time(
        LLAMA_3_8B,
        Layout(strategy="fsdp", shards=8),
        gpu="h100-96",
        is_compiled=is_compiled,
        checkpointing="alternate",
    )
    least, most = time.tokens_per_s_band
    assert least / 8 < measured < most / 8
    assert 0.3 < time.mfu < 0.5


def test_faster_cards_are_faster_and_recomputing_is_slower() -> None:
    layout = Layout(strategy="fsdp", shards=8)
    speeds = [_time(LLAMA_3_8B, layout, gpu=gpu).tokens_per_s for gpu in ("a100", "h100", "b200")]
    assert speeds == sorted(speeds)
    again = _time(LLAMA_3_8B, layout, checkpointing="full")
    assert again.tokens_per_s < speeds[1]


def test_a_tensor_group_over_machines_waits_for_the_network() -> None:
    inside = _time(LLAMA_3_70B, Layout(strategy="fsdp+tp", shards=2, tensor=8))
    assert inside.communication_s > 0
    across = _time(LLAMA_3_70B, Layout(strategy="tp", tensor=16))
    share = inside.communication_s / inside.total_s
    assert across.communication_s / across.total_s > share


def test_bubbles_shrink_with_micro_batches_and_chunks() -> None:
    few = Layout(strategy="pp", pipeline=4, micro_batches=4)
    many = Layout(strategy="pp", pipeline=4, micro_batches=16)
    chunked = Layout(strategy="pp", pipeline=4, micro_batches=16, chunks=2)
    assert bubble(few) == 3 / 4
    assert bubble(many) == 3 / 16
    assert bubble(chunked) == 3 / 32
    assert bubble(Layout(strategy="fsdp", shards=4)) == 0


def test_a_processor_has_no_kernels_to_wait_for() -> None:
    cluster = Cluster(device=cpu_device(memory_bytes=8e9, cores=2, processes=1))
    time = step_time(
        architecture_of(TINY["llama"]),
        Work(sequence_length=64, batch_size=8, precision="f32"),
        Layout(strategy="single"),
        cluster,
    )
    assert 0 < time.total_s < 1
