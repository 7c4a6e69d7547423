"""Layouts over cards: what they hold, which one is taken, and what stays in main memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.layouts import choose, layout_rows
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import LayoutRow, ServePlan
from llmops_cli.plan.run import plan_serve
from llmops_cli.sizing.gpus import gpu_named
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.load_of import load_of
from llmops_cli.sizing.placement import (
    Placement,
    card_cache_bytes,
    expert_share,
    head_share,
    stage_layers,
    stages_of,
)
from llmops_cli.sizing.public_models import CONFIGS, config_named
from llmops_cli.sizing.served_models import served_model

GIB = 2**30


def _load(name: str, scheme: str = "BF16") -> ServingLoad:
    return load_of(served_model(config_named(name), name=name, source=name), scheme=scheme)


def _rows(model: str, **wishes: object) -> tuple[LayoutRow, ...]:
    asked = {"model": model, "gpu": "h100", **wishes}
    return layout_rows(choose(PlanRecipe(**asked)))  # type: ignore[arg-type]


def _plan(model: str, **wishes: object) -> ServePlan:
    asked = {"model": model, "gpu": "h100", **wishes}
    return plan_serve(PlanRecipe(**asked)).plan  # type: ignore[arg-type]


@given(
    model=st.sampled_from(sorted(CONFIGS)),
    tensor=st.sampled_from([1, 2, 4, 8]),
    pipeline=st.sampled_from([1, 2, 3, 5]),
)
def test_cards_together_hold_the_model_and_what_is_copied(
    model: str, tensor: int, pipeline: int
) -> None:
    load = _load(model)
    place = Placement(gpu=gpu_named("h100"), tensor=tensor, pipeline=pipeline)
    held = sum(stage.weights_bytes for stage in stages_of(load, place)) * tensor
    copied = load.whole_bytes * (tensor - 1)
    copied += load.key_value_bytes * (head_share(load.kv_heads, tensor) * tensor - 1)
    copied += load.table_bytes if load.is_tied and pipeline > 1 else 0
    assert held == pytest.approx(load.weights_bytes + copied, rel=1e-9)


@given(layers=st.integers(1, 200), stages=st.integers(1, 16))
def test_stages_share_all_layers_and_differ_by_one(layers: int, stages: int) -> None:
    counts = stage_layers(layers, stages)
    assert sum(counts) == layers
    assert max(counts) - min(counts) <= 1
    assert stages == 1 or counts[-1] == min(counts)


def test_fewer_kv_heads_than_cards_are_copied() -> None:
    """Qwen2.5-7B has 4 KV heads, so 8 cards hold each one twice; MLA's vector is on all of them."""
    load = _load("qwen2.5-7b")
    whole = card_cache_bytes(load, Placement(gpu=gpu_named("h100")), 1000)
    four = card_cache_bytes(load, Placement(gpu=gpu_named("h100"), tensor=4), 1000)
    eight = card_cache_bytes(load, Placement(gpu=gpu_named("h100"), tensor=8), 1000)
    assert four == whole / 4
    assert eight == whole / 4
    latent = _load("deepseek-v3", "FP8")
    one = card_cache_bytes(latent, Placement(gpu=gpu_named("h200")), 1000)
    assert card_cache_bytes(latent, Placement(gpu=gpu_named("h200"), tensor=8), 1000) == one


def test_whole_experts_that_do_not_divide_make_one_card_fuller() -> None:
    """DeepSeek-V3 has 256: on 24 cards some have 11."""
    load = _load("deepseek-v3", "FP8")
    place = Placement(gpu=gpu_named("h200"), data=24, expert=24)
    assert expert_share(load, place) == pytest.approx(11 / 256)
    split = Placement(gpu=gpu_named("h200"), tensor=8)
    assert expert_share(load, split) == 1 / 8
    part = Placement(gpu=gpu_named("h200"), tensor=8, expert=2)
    assert expert_share(load, part) == 1 / 8


def test_copies_that_share_experts_fit_where_each_with_its_own_does_not() -> None:
    rows = _rows("deepseek-v3", gpu="h200", gpus=8, quant="FP8", concurrency=64)
    shared = next(row for row in rows if (row.data, row.expert) == (8, 8))
    alone = next(row for row in rows if (row.data, row.expert) == (8, 1))
    assert shared.fits
    assert not alone.fits
    split = next(row for row in rows if (row.tensor, row.expert) == (8, 1))
    assert shared.max_concurrency is not None
    assert split.max_concurrency is not None
    assert shared.max_concurrency > 3 * split.max_concurrency


def test_the_layout_taken_fits_and_none_is_much_faster() -> None:
    rows = _rows("llama-3.1-70b", gpus=8, concurrency=64)
    assert rows[0].is_chosen
    assert rows[0].fits
    best = max(row.throughput_tps or 0.0 for row in rows if row.fits)
    assert (rows[0].throughput_tps or 0.0) > 0.94 * best
    assert sum(row.is_chosen for row in rows) == 1


@pytest.mark.parametrize(
    ("wishes", "degrees"),
    [
        ({"tensor_parallel": 2}, {"tensor": 2}),
        ({"pipeline_parallel": 4}, {"pipeline": 4}),
        ({"data_parallel": 2, "tensor_parallel": 4}, {"data": 2, "tensor": 4, "pipeline": 1}),
    ],
)
def test_a_degree_that_is_given_holds(wishes: dict[str, object], degrees: dict[str, int]) -> None:
    for row in _rows("llama-3.1-70b", gpus=8, **wishes):
        assert {name: getattr(row, name) for name in degrees} == degrees


def test_copies_answer_as_many_times_more() -> None:
    one = _plan("llama-3.1-8b", gpus=1, concurrency=8)
    eight = _plan("llama-3.1-8b", gpus=8, data_parallel=8, concurrency=64)
    assert eight.throughput_tps.number == pytest.approx(8 * one.throughput_tps.number, rel=1e-6)
    assert eight.tpot_ms.number == pytest.approx(one.tpot_ms.number, rel=1e-6)
    assert eight.max_concurrency.number == 8 * one.max_concurrency.number


def test_cards_are_as_few_as_hold_the_load() -> None:
    def title(model: str, streams: int) -> str:
        return plan_serve(PlanRecipe(model=model, gpu="h100", concurrency=streams)).title

    assert " 2 x h100" in title("llama-3.1-70b", 1)
    assert " 4 x h100" in title("llama-3.1-70b", 64)
    assert " on h100" in title("llama-3.1-8b", 1)


def test_more_layers_in_main_memory_are_slower_and_never_beat_its_bandwidth() -> None:
    """Of 70B at Q4_K_M on a card of 24 GiB: what is left in memory takes its bytes over 35 GB/s."""
    speeds = []
    for count in (60, 40, 20, 0):
        plan = _plan("llama-3.1-70b", gpu="4090", gpus=1, quant="Q4_K_M", gpu_layers=count)
        speeds.append(plan.decode_tps.number)
    assert speeds == sorted(speeds, reverse=True)
    weights = _load("llama-3.1-70b", "Q4_K_M")
    assert speeds[-1] <= 35e9 / weights.read_bytes(1)


def test_llama_cpp_keeps_on_the_card_what_fits() -> None:
    asked = {"model": "llama-3.1-70b", "gpu": "4090", "gpus": 1, "quant": "Q4_K_M"}
    detail = plan_serve(PlanRecipe(**asked))  # type: ignore[arg-type]
    assert any("-ngl 41 of 81" in note for note in detail.notes)
    assert detail.plan.fits.value is False
    assert detail.plan.decode_tps.number > 1


def test_weights_that_are_sent_each_step_bind_at_the_link() -> None:
    """4 GiB at 25 GB/s are 172 ms a token."""
    plan = _plan("llama-3.1-8b", gpu="l4", gpus=1, cpu_offload_gib=4.0, quant="BF16")
    assert plan.tpot_ms.number > 4 * GIB / 25e9 * 1000
    free = _plan("llama-3.1-8b", gpu="l4", gpus=1)
    assert plan.kv_pool_bytes.number == pytest.approx(
        free.kv_pool_bytes.number + 4 * GIB, rel=0.001
    )


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"gpus": 8, "expert_parallel": 4}, "no layout of 8 cards"),
        ({"gpus": 8, "tensor_parallel": 3}, "no multiple of 3"),
        ({"gpus": 6, "tensor_parallel": 6}, "no layout of 6 cards"),
        ({"gpus": 64, "pipeline_parallel": 64}, "no layout of 64 cards"),
        ({"gpus": 2, "engine": "llamacpp", "tensor_parallel": 2}, "no layout of 2 cards"),
        ({"gpus": 1, "gpu_layers": 3}, "--gpu-layers is llama.cpp's"),
        ({"gpus": 1, "engine": "llamacpp", "cpu_offload_gib": 2.0}, "whole layers"),
    ],
)
def test_degrees_that_nothing_takes_are_refused(wishes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _rows("llama-3.1-8b", **wishes)
