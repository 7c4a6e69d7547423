"""How the tables of public models write a config down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]  # Any: each architecture has fields of its own


def shape(
    model_type: str,
    sizes: str,
    **more: Any,  # Any: a config's values
) -> dict[str, Any]:
    """`sizes`: hidden, feed-forward, layers, heads, key-value heads, vocabulary."""
    hidden, width, layers, heads, kv_heads, vocabulary = (int(each) for each in sizes.split())
    return {
        "model_type": model_type,
        "hidden_size": hidden,
        "intermediate_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "tie_word_embeddings": False,
        **more,
    }


TIED = {"tie_word_embeddings": True}
HEAD_64 = {"head_dim": 64}
HEAD_128 = {"head_dim": 128}
QWEN3_MOE = {**HEAD_128, "num_experts": 128, "num_experts_per_tok": 8}
LATENT = {
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "kv_lora_rank": 512,
}
DEEPSEEK_V3 = {
    **LATENT,
    "q_lora_rank": 1536,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048,
    "first_k_dense_replace": 3,
}


def vision(
    model_type: str,
    text: Config,
    tower: Config,
    **more: Any,  # Any: a config's values
) -> dict[str, Any]:
    """A model of text with a tower for pictures."""
    return {"model_type": model_type, "text_config": text, "vision_config": tower, **more}
