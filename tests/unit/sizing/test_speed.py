"""Speed of serving: laws that hold for any card, and the shape of experts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.sizing.efficiency import ENGINES
from llmops_cli.sizing.gpus import gpu_named
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.load_of import load_of
from llmops_cli.sizing.placement import Placement
from llmops_cli.sizing.public_models import CONFIGS, config_named
from llmops_cli.sizing.served_models import served_model
from llmops_cli.sizing.speed import (
    Speculation,
    ceiling_s,
    prefill_s,
    speculated_s,
    step_s,
)


def _load(name: str, scheme: str = "BF16") -> ServingLoad:
    return load_of(served_model(config_named(name), name=name, source=name), scheme=scheme)


@given(
    model=st.sampled_from(sorted(CONFIGS)),
    card=st.sampled_from(["h100", "4090", "p40", "m2-ultra", "b200"]),
    engine=st.sampled_from(sorted(ENGINES)),
    batch=st.integers(1, 256),
    context=st.integers(0, 100_000),
)
def test_no_step_is_shorter_than_its_bytes_take(
    model: str, card: str, engine: str, batch: int, context: int
) -> None:
    place = Placement(gpu=gpu_named(card), tensor=64)
    load = _load(model)
    found = step_s(load, place, ENGINES[engine], batch=batch, context=context)
    assert found >= ceiling_s(load, place, batch=batch, context=context)


def test_a_batch_meets_more_experts_but_never_more_than_there_are() -> None:
    load = _load("qwen3-30b-a3b")
    shares = [load.touched_share(batch) for batch in (1, 4, 32, 4096)]
    assert shares[0] == pytest.approx(8 / 128)
    assert shares == sorted(shares)
    assert shares[-1] <= 1
    assert load.active_weights < 0.12 * load.parameters


def test_more_cards_shorten_a_step_less_than_in_proportion() -> None:
    load = _load("llama-3.1-70b", "FP8")
    one = Placement(gpu=gpu_named("h200"))
    four = Placement(gpu=gpu_named("h200"), tensor=4)
    engine = ENGINES["vllm"]
    assert step_s(load, four, engine) < step_s(load, one, engine) < 4 * step_s(load, four, engine)


def test_a_prompt_in_pieces_takes_longer_in_all() -> None:
    load = _load("llama-3.1-8b")
    place = Placement(gpu=gpu_named("h100"))
    whole = prefill_s(load, place, ENGINES["vllm"], tokens=8192)
    pieces = prefill_s(load, place, ENGINES["vllm"], tokens=8192, chunk=512)
    assert pieces > whole


def test_drafts_help_one_stream_and_harm_where_products_bind() -> None:
    drafts = Speculation(tokens=4, acceptance=0.7)
    assert speculated_s(1.0, drafts, load_factor=1.1) < 0.6
    assert speculated_s(1.0, drafts, load_factor=5.0) > 1.0


def test_published_speeds_are_near() -> None:
    """llama.cpp of an 8B as Q4_K_M on an RTX 5070: 105 tokens/s; 7B as F16 on a 4090: 61."""
    engine = ENGINES["llamacpp"]
    small = 1 / step_s(_load("llama-3.1-8b", "Q4_K_M"), Placement(gpu=gpu_named("5070")), engine)
    assert small == pytest.approx(105.3, rel=0.15)
    large = 1 / step_s(_load("codellama-7b", "F16"), Placement(gpu=gpu_named("4090")), engine)
    assert large == pytest.approx(61.0, rel=0.15)
