"""Tensors on their way to GGUF: number types, interleaved heads, and what has no place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

from _shared.protocol import JobError
from _shared.safetensors import TensorFile
from llamacpp.architectures import ARCHITECTURES
from llamacpp.defaults import complete
from llamacpp.expected import expected_shapes
from llamacpp.tensors import (
    BeyondF16,
    PlannedTensor,
    TensorPlan,
    Type,
    beyond_f16,
    encode,
    interleave,
)

SIZES: dict[str, Any] = {
    "vocab_size": 8,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 2,
    "tie_word_embeddings": True,
}
EMBEDDING = "model.embed_tokens.weight"
NORM = "model.norm.weight"


def tensors_of(architecture: str, **change: Any) -> dict[str, TensorFile]:
    """Places of every tensor but a head; nothing lies there."""
    config = complete({**SIZES, **change}, architecture)
    shapes = expected_shapes(config, ARCHITECTURES[architecture])
    return {name: place(*shape) for name, shape in shapes.items() if name != "lm_head.weight"}


def place(*shape: int, dtype: str = "BF16") -> TensorFile:
    return TensorFile(Path("model.safetensors"), 0, 0, dtype, shape)


def planned(
    architecture: str,
    tensors: dict[str, TensorFile] | None = None,
    *,
    wide: set[str] | None = None,
    **change: Any,
) -> dict[str, Any]:
    config = complete({**SIZES, **change}, architecture)
    plan = TensorPlan(config, architecture, Type.F16, wide or set())
    chosen = tensors or tensors_of(architecture, **change)
    return {tensor.name: tensor for tensor in plan.all_of(chosen)}


def test_heads_are_interleaved_only_where_the_architecture_wants_it() -> None:
    llama = planned("LlamaForCausalLM")
    assert llama["blk.0.attn_q.weight"].heads == 4
    assert llama["blk.0.attn_k.weight"].heads == 2
    assert planned("Qwen2ForCausalLM")["blk.0.attn_q.weight"].heads == 0


def test_vectors_and_wide_tensors_stay_f32_and_gemmas_norms_get_their_one() -> None:
    gemma = planned("Gemma2ForCausalLM", wide={"token_embd.weight"})
    assert gemma["token_embd.weight"].type == Type.F32
    assert (gemma["output_norm.weight"].type, gemma["output_norm.weight"].add) == (Type.F32, 1.0)
    llama = planned("LlamaForCausalLM")
    assert llama["token_embd.weight"].type == Type.F16
    assert llama["output_norm.weight"].add == 0.0


def test_gemmas_queries_carry_the_scale_that_llama_cpp_fixes() -> None:
    gemma2 = planned("Gemma2ForCausalLM", query_pre_attn_scalar=8)
    assert gemma2["blk.0.attn_q.weight"].scale == 0.5
    assert gemma2["blk.0.attn_k.weight"].scale == 1.0
    gemma3 = planned("Gemma3ForCausalLM", query_pre_attn_scalar=8)
    assert gemma3["blk.0.attn_q_norm.weight"].scale == 0.5
    large = planned("Gemma2ForCausalLM", query_pre_attn_scalar=2, num_hidden_layers=46)
    assert large["blk.0.attn_q.weight"].scale == 1.0


def test_the_vision_tower_and_rotary_buffers_are_left_out() -> None:
    names = ("vision_tower.a.weight", "model.layers.0.rotary_emb.inv_freq")
    tensors = tensors_of("LlamaForCausalLM") | {name: place(8) for name in names}
    assert planned("LlamaForCausalLM", tensors).keys() == planned("LlamaForCausalLM").keys()


def test_what_has_no_place_or_is_missing_is_named() -> None:
    whole = tensors_of("LlamaForCausalLM")
    with pytest.raises(JobError, match=r"'model\.odd\.weight' has no place in a LLAMA GGUF file"):
        planned("LlamaForCausalLM", whole | {"model.odd.weight": place(8)})
    with pytest.raises(JobError, match="is I8"):
        planned("LlamaForCausalLM", whole | {NORM: place(8, dtype="I8")})
    with pytest.raises(JobError, match=r"has shape \(9,\), and config.json says \(8,\)"):
        planned("LlamaForCausalLM", whole | {NORM: place(9)})
    del whole[EMBEDDING]
    with pytest.raises(JobError, match=r"hold no model\.embed_tokens\.weight \(1 tensors"):
        planned("LlamaForCausalLM", whole)


def test_a_second_head_is_kept_only_if_it_is_another(tmp_path: Path) -> None:
    path = tmp_path / "heads"
    values = np.arange(64, dtype=np.float32)
    path.write_bytes(values.tobytes() * 2 + (values + 1).tobytes())
    one, same, other = (TensorFile(path, at, at + 256, "F32", (8, 8)) for at in (0, 256, 512))
    whole = tensors_of("LlamaForCausalLM") | {EMBEDDING: one}
    assert "output.weight" not in planned("LlamaForCausalLM", whole | {"lm_head.weight": same})
    assert "output.weight" in planned("LlamaForCausalLM", whole | {"lm_head.weight": other})
    with pytest.raises(JobError, match="gemma2 has no output head"):
        gemma = tensors_of("Gemma2ForCausalLM") | {EMBEDDING: one, "lm_head.weight": other}
        planned("Gemma2ForCausalLM", gemma)


def test_interleaving_weaves_the_two_halves_of_each_head() -> None:
    rows = np.arange(8)
    assert interleave(rows, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert interleave(rows[:, None], 1)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_values_beyond_f16_are_told_from_values_that_are_none() -> None:
    assert encode(np.array([1.5], np.float32), Type.F16, "t").dtype == np.float16
    with pytest.raises(BeyondF16):
        encode(np.array([1e6], np.float32), Type.F16, "t")


@pytest.mark.parametrize("wanted", [Type.F16, Type.BF16, Type.F32], ids=str)
@pytest.mark.parametrize("given", [np.float16, np.float32])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_in_every_type(
    wanted: Type, given: type[np.floating[Any]], value: float
) -> None:
    with pytest.raises(JobError, match="NaN or infinite"):
        encode(np.array([1.0, value], given), wanted, "t")


def test_all_tensors_beyond_f16_are_found_at_once(tmp_path: Path) -> None:
    path = tmp_path / "values"
    values = np.array([[1e6, 1.0], [1.0, 1.0], [1.0, 1e6]], np.float32)
    path.write_bytes(values.tobytes())
    planned = [
        PlannedTensor(name=name, source=TensorFile(path, at, at + 8, "F32", (1, 2)), type=kind)
        for name, at, kind in (
            *(("first", 0, Type.F16), ("second", 8, Type.F16)),
            *(("third", 16, Type.F16), ("wide", 16, Type.F32)),
        )
    ]
    assert beyond_f16(planned) == {"first", "third"}
