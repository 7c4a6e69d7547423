"""A 16-bit model computes as its float32 copy does, and is itself again afterwards."""

from __future__ import annotations

import copy
from typing import Any

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

from hf.float32 import compute_in_float32

SIZE = {
    "vocab_size": 90,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
}


def tied_llama() -> Any:
    return LlamaForCausalLM(LlamaConfig(**SIZE, tie_word_embeddings=True))


def llama() -> Any:
    return LlamaForCausalLM(LlamaConfig(**SIZE, tie_word_embeddings=False))


def gemma() -> Any:
    """Its embeddings are scaled in the type of their weights."""
    return Gemma3ForCausalLM(Gemma3TextConfig(**SIZE, sliding_window=8))


@pytest.mark.parametrize("make", [tied_llama, llama, gemma])
def test_it_computes_as_its_float32_copy_does(make: Any) -> None:
    torch.manual_seed(0)
    model = make().eval().to(torch.bfloat16)
    wide = copy.deepcopy(model).float()
    before = {name: each.clone() for name, each in model.named_parameters() if "layers" in name}
    compute_in_float32(model)
    tokens = torch.arange(24)[None]
    with torch.no_grad():
        found = model(tokens).logits
        again = model(tokens).logits
        expected = wide(tokens).logits
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(found, again)
    for name, each in model.named_parameters():
        if name in before:
            assert each.dtype == torch.bfloat16
            assert torch.equal(each, before[name])
