"""Which layers are cut how."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
import torch
from transformers import AutoModelForCausalLM

from _shared.protocol import JobError
from tests.train_families import config_of
from train.tensor_parallel.collectives import Group
from train.tensor_parallel.plan import apply, heads_can_be_shared_out, plan_of

LAYER = "model.layers.*.self_attn."


def model_of(name: str, **fields):
    config = config_of(name, tied=True, vocabulary=16)
    for field, value in fields.items():
        setattr(config, field, value)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def test_heads_that_divide_are_shared_out() -> None:
    plan = plan_of(model_of("qwen3"), 2)
    assert plan[f"{LAYER}q_proj"] == "colwise"
    assert plan[f"{LAYER}q_norm"] == "replicated_with_grad_allreduce"


def test_heads_that_do_not_divide_are_computed_whole() -> None:
    plan = plan_of(model_of("qwen3"), 4)
    assert plan[f"{LAYER}k_proj"] == "colwise_gather_output"
    assert plan[f"{LAYER}o_proj"] == "rowwise_split_input"
    assert f"{LAYER}q_norm" not in plan
    assert plan["model.layers.*.mlp.up_proj"] == "colwise"


def test_attention_that_drops_out_is_computed_whole() -> None:
    config = model_of("llama", attention_dropout=0.1).config
    assert not heads_can_be_shared_out(config, 2)


def test_gpt2_has_our_plan() -> None:
    assert plan_of(model_of("gpt2"), 2)["transformer.h.*.mlp.c_fc"] == "colwise"


def test_a_family_without_a_plan_is_refused() -> None:
    model = model_of("llama")
    model._tp_plan = {}
    with pytest.raises(JobError, match="plan for 'llama'"):
        plan_of(model, 2)


def test_a_style_that_we_have_not_is_refused() -> None:
    with pytest.raises(JobError, match="moe_tp_experts"):
        apply("moe_tp_experts", torch.nn.Identity(), None)


def test_parts_that_do_not_divide_end_with_a_shorter_one() -> None:
    bounds = [Group(None, number, 4).bounds(10) for number in range(4)]
    assert bounds == [(0, 3), (3, 6), (6, 9), (9, 10)]
