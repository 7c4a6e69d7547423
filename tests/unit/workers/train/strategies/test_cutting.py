"""Stages are consecutive, balanced by parameters, and together compute what the model does."""

from __future__ import annotations

from itertools import pairwise

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertLMHeadModel,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
)

from _shared.protocol import JobError
from train.strategies.cutting import balanced, cuts_of, keep, parts_of, stage_of

SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
TYPES = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "gemma3": Gemma3TextConfig(**SIZES, sliding_window=3, layer_types=TYPES),
    "gpt2": GPT2Config(
        vocab_size=64,
        n_embd=16,
        n_layer=4,
        n_head=2,
        n_positions=32,
        bos_token_id=0,
        eos_token_id=0,
    ),
}


def model_of(kind: str):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[kind]).eval()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=9), st.data())
def test_no_other_cut_has_a_smaller_largest_group(sizes, data) -> None:
    count = data.draw(st.integers(1, len(sizes)))
    bounds = balanced(sizes, count)
    assert len(bounds) == count - 1
    ends = [0, *bounds, len(sizes)]
    assert ends == sorted(set(ends))
    largest = max(sum(sizes[a:b]) for a, b in pairwise(ends))
    assert not fits(sizes, count, largest - 1)


def fits(sizes: list[int], count: int, most: int) -> bool:
    """Whether `count` groups, or fewer, of at most `most` are enough."""
    groups = 1
    filled = 0
    for size in sizes:
        if size > most:
            return False
        if filled + size > most:
            groups += 1
            filled = 0
        filled += size
    return groups <= count


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("count", [2, 4])
def test_stages_in_a_row_are_the_model(kind: str, count: int) -> None:
    model = model_of(kind)
    ids_BT = torch.randint(1, 64, (2, 12))
    positions_BT = torch.cat([torch.arange(5), torch.arange(7)]).expand(2, 12)
    with torch.no_grad():
        expected = model(input_ids=ids_BT, position_ids=positions_BT, use_cache=False).logits
        parts = parts_of(model)
        flowing = {"input_ids": ids_BT}
        for cut in cuts_of(model, parts, count):
            stage = stage_of(model, parts, cut)
            named = {**flowing, "position_ids": positions_BT, "use_cache": False}
            if cut.is_last:
                assert torch.equal(stage(**named).logits, expected)
            else:
                flowing = {"inputs_embeds": stage.base_model(**named).last_hidden_state}


@pytest.mark.parametrize("kind", CONFIGS)
def test_stages_have_every_parameter_once_under_its_whole_name(kind: str) -> None:
    names = {name for name, _ in model_of(kind).named_parameters()}
    seen = []
    for number in range(3):
        model = model_of(kind)
        parts = parts_of(model)
        cuts = cuts_of(model, parts, 3)
        keep(model, parts, [cuts[number]])
        seen += [name for name, _ in model.named_parameters()]
    tied = "lm_head.weight"
    assert set(seen) - names == {tied} - names
    assert len(seen) == len(set(seen))


def test_a_model_without_a_plan_is_refused_by_name() -> None:
    config = BertConfig(is_decoder=True, hidden_size=16, num_attention_heads=2, vocab_size=64)
    with pytest.raises(JobError, match="'bert' cannot be cut into stages"):
        parts_of(BertLMHeadModel(config))


def test_more_stages_than_blocks_are_refused() -> None:
    model = model_of("llama")
    with pytest.raises(JobError, match="5 pipeline stages need as many blocks"):
        cuts_of(model, parts_of(model), 5)
