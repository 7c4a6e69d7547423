"""Shapes of well-known models with experts, each as its config.json on the hub has it."""

from __future__ import annotations

from typing import Any

from llmops_cli.sizing.public_shapes import (
    DEEPSEEK_V3,
    HEAD_128,
    LATENT,
    QWEN3_MOE,
    TIED,
    Config,
    shape,
)


def _glm4_moe(
    sizes: str,
    **more: Any,  # Any: a config's values
) -> dict[str, Any]:
    return shape(
        "glm4_moe",
        sizes,
        **HEAD_128,
        attention_bias=True,
        num_experts_per_tok=8,
        n_shared_experts=1,
        num_nextn_predict_layers=1,
        **more,
    )


EXPERTS: dict[str, Config] = {
    "olmoe-1b-7b": shape(
        "olmoe", "2048 1024 16 16 16 50304", num_experts=64, num_experts_per_tok=8
    ),
    "phi-3.5-moe": shape(
        "phimoe",
        "4096 6400 32 32 8 32064",
        num_local_experts=16,
        num_experts_per_tok=2,
        attention_bias=True,
        lm_head_bias=True,
    ),
    "qwen1.5-moe-a2.7b": shape(
        "qwen2_moe",
        "2048 5632 24 16 16 151936",
        num_experts=60,
        num_experts_per_tok=4,
        moe_intermediate_size=1408,
        shared_expert_intermediate_size=5632,
    ),
    "qwen2-57b-a14b": shape(
        "qwen2_moe",
        "3584 18944 28 28 4 151936",
        num_experts=64,
        num_experts_per_tok=8,
        moe_intermediate_size=2560,
        shared_expert_intermediate_size=20480,
    ),
    "qwen3-480b-a35b": shape(
        "qwen3_moe",
        "6144 8192 62 96 8 151936",
        **{**QWEN3_MOE, "num_experts": 160},
        moe_intermediate_size=2560,
    ),
    "dbrx": {
        "model_type": "dbrx",
        "d_model": 6144,
        "n_layers": 40,
        "n_heads": 48,
        "max_seq_len": 32768,
        "vocab_size": 100352,
        "attn_config": {"kv_n_heads": 8},
        "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
        "tie_word_embeddings": False,
    },
    "deepseek-moe-16b": shape(
        "deepseek",
        "2048 10944 28 16 16 102400",
        n_routed_experts=64,
        n_shared_experts=2,
        num_experts_per_tok=6,
        moe_intermediate_size=1408,
        first_k_dense_replace=1,
    ),
    "deepseek-v2": shape(
        "deepseek_v2",
        "5120 12288 60 128 128 102400",
        **LATENT,
        q_lora_rank=1536,
        n_routed_experts=160,
        n_shared_experts=2,
        num_experts_per_tok=6,
        moe_intermediate_size=1536,
        first_k_dense_replace=1,
    ),
    "deepseek-v3.2": shape("deepseek_v32", "7168 18432 61 128 128 129280", **DEEPSEEK_V3),
    "moonlight-16b-a3b": shape(
        "deepseek_v3",
        "2048 11264 27 16 16 163840",
        **LATENT,
        q_lora_rank=None,
        n_routed_experts=64,
        n_shared_experts=2,
        num_experts_per_tok=6,
        moe_intermediate_size=1408,
        first_k_dense_replace=1,
    ),
    "glm-4.5": _glm4_moe(
        "5120 12288 92 96 8 151552",
        n_routed_experts=160,
        moe_intermediate_size=1536,
        first_k_dense_replace=3,
        use_qk_norm=True,
    ),
    "glm-4.5-air": _glm4_moe(
        "4096 10944 46 96 8 151552",
        n_routed_experts=128,
        moe_intermediate_size=1408,
        first_k_dense_replace=1,
        use_qk_norm=False,
    ),
    "glm-4.7-flash": shape(
        "glm4_moe_lite",
        "2048 10240 47 20 20 154880",
        **{**LATENT, "qk_nope_head_dim": 192, "v_head_dim": 256},
        q_lora_rank=768,
        n_routed_experts=64,
        n_shared_experts=1,
        num_experts_per_tok=4,
        moe_intermediate_size=1536,
        first_k_dense_replace=1,
        num_nextn_predict_layers=1,
    ),
    "glm-5": shape(
        "glm_moe_dsa",
        "6144 12288 78 64 64 154880",
        **{**DEEPSEEK_V3, "qk_nope_head_dim": 192, "v_head_dim": 256, "q_lora_rank": 2048},
        index_n_heads=32,
        index_head_dim=128,
        num_nextn_predict_layers=1,
    ),
    "minimax-m2": shape(
        "minimax_m2",
        "3072 1536 62 48 8 200064",
        **HEAD_128,
        num_local_experts=256,
        num_experts_per_tok=8,
    ),
    "ernie-4.5-21b-a3b": shape(
        "ernie4_5_moe",
        "2560 12288 28 20 4 103424",
        **TIED,
        moe_num_experts=64,
        moe_k=6,
        moe_num_shared_experts=2,
        moe_intermediate_size=1536,
        moe_layer_start_index=1,
    ),
    "ernie-4.5-300b-a47b": shape(
        "ernie4_5_moe",
        "8192 28672 54 64 8 103424",
        moe_num_experts=64,
        moe_k=8,
        moe_num_shared_experts=0,
        moe_intermediate_size=3584,
        moe_layer_start_index=3,
    ),
    "hunyuan-a13b": shape(
        "hunyuan_v1_moe",
        "4096 3072 32 32 8 128167",
        **TIED,
        **HEAD_128,
        num_experts=64,
        moe_topk=8,
    ),
    "dots.llm1": shape(
        "dots1",
        "4096 10944 62 32 32 152064",
        n_routed_experts=128,
        n_shared_experts=2,
        num_experts_per_tok=6,
        moe_intermediate_size=1408,
        first_k_dense_replace=1,
    ),
}
