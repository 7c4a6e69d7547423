"""Tensors on their way to GGUF: number types, interleaved heads, and what has no place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

from _shared.protocol import JobError
from _shared.safetensors import TensorFile
from llamacpp.tensors import BeyondF16, TensorPlan, Type, encode, interleave

CONFIG: dict[str, Any] = {
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
EMBEDDING = "model.embed_tokens.weight"
QUERY = "model.layers.0.self_attn.q_proj.weight"
KEY = "model.layers.0.self_attn.k_proj.weight"
NORM = "model.norm.weight"


def place(*shape: int, dtype: str = "BF16") -> TensorFile:
    return TensorFile(Path("model.safetensors"), 0, 0, dtype, shape)


def planned(architecture: str, *names: str, wide: set[str] | None = None) -> dict[str, Any]:
    plan = TensorPlan(CONFIG, architecture, Type.F16, wide or set())
    shapes = {name: place(8) if name == NORM else place(8, 8) for name in (EMBEDDING, *names)}
    return {tensor.name: tensor for tensor in plan.all_of(shapes)}


def test_heads_are_interleaved_only_where_the_architecture_wants_it() -> None:
    llama = planned("LlamaForCausalLM", QUERY, KEY)
    assert llama["blk.0.attn_q.weight"].heads == 4
    assert llama["blk.0.attn_k.weight"].heads == 2
    assert planned("Qwen2ForCausalLM", QUERY)["blk.0.attn_q.weight"].heads == 0


def test_vectors_and_wide_tensors_stay_f32_and_gemmas_norms_get_their_one() -> None:
    gemma = planned("Gemma2ForCausalLM", NORM, wide={"token_embd.weight"})
    assert gemma["token_embd.weight"].type == Type.F32
    assert (gemma["output_norm.weight"].type, gemma["output_norm.weight"].add) == (Type.F32, 1.0)
    llama = planned("LlamaForCausalLM", NORM)
    assert llama["token_embd.weight"].type == Type.F16
    assert llama["output_norm.weight"].add == 0.0


def test_a_tied_head_and_the_vision_tower_are_left_out() -> None:
    names = ("lm_head.weight", "vision_tower.a.weight", "model.layers.0.rotary_emb.inv_freq")
    assert list(planned("LlamaForCausalLM", *names)) == ["token_embd.weight"]


def test_what_has_no_place_is_named() -> None:
    with pytest.raises(JobError, match=r"'model\.odd\.weight' has no place in a LLAMA GGUF file"):
        planned("LlamaForCausalLM", "model.odd.weight")
    plan = TensorPlan(CONFIG, "LlamaForCausalLM", Type.F16, set())
    with pytest.raises(JobError, match="is I8"):
        plan.all_of({EMBEDDING: place(8, 8, dtype="I8")})
    with pytest.raises(JobError, match="no token embeddings"):
        plan.all_of({NORM: place(8)})


def test_interleaving_weaves_the_two_halves_of_each_head() -> None:
    rows = np.arange(8)
    assert interleave(rows, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert interleave(rows[:, None], 1)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_values_beyond_f16_are_told_from_values_that_are_none() -> None:
    assert encode(np.array([1.5], np.float32), Type.F16, "t").dtype == np.float16
    with pytest.raises(BeyondF16):
        encode(np.array([1e6], np.float32), Type.F16, "t")
    with pytest.raises(JobError, match="NaN or infinite"):
        encode(np.array([np.nan], np.float32), Type.F16, "t")
