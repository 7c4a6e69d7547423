"""Configurations of all families that sizing knows, small ones and those of published models."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]
SMALL: Config = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 128,
}
MOE: Config = {**SMALL, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT: Config = {
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 4,
}
TINY: dict[str, Config] = {
    "llama": {"model_type": "llama", **SMALL},
    "llama, tied, biases": {
        "model_type": "llama",
        **SMALL,
        "tie_word_embeddings": True,
        "attention_bias": True,
        "mlp_bias": True,
    },
    "llama, heads of their own size": {"model_type": "llama", **SMALL, "head_dim": 24},
    "mistral": {"model_type": "mistral", **SMALL, "sliding_window": 32},
    "qwen2": {"model_type": "qwen2", **SMALL},
    "qwen3": {"model_type": "qwen3", **SMALL, "head_dim": 32, "tie_word_embeddings": True},
    "phi3": {"model_type": "phi3", **SMALL, "pad_token_id": 0},
    "gemma": {"model_type": "gemma", **SMALL, "head_dim": 32},
    "gemma2": {"model_type": "gemma2", **SMALL, "head_dim": 32},
    "gemma3": {"model_type": "gemma3_text", **SMALL, "head_dim": 32},
    "olmo2": {"model_type": "olmo2", **SMALL},
    "smollm3": {"model_type": "smollm3", **SMALL, "pad_token_id": 0},
    "granite": {"model_type": "granite", **SMALL},
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 64,
        "n_layer": 3,
        "n_head": 4,
        "vocab_size": 300,
        "n_positions": 96,
    },
    "mixtral": {
        "model_type": "mixtral",
        **SMALL,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
    },
    "qwen2_moe": {
        "model_type": "qwen2_moe",
        **MOE,
        "shared_expert_intermediate_size": 48,
        "decoder_sparse_step": 2,
    },
    "qwen3_moe": {"model_type": "qwen3_moe", **MOE, "head_dim": 32, "mlp_only_layers": [0]},
    "deepseek_v2": {"model_type": "deepseek_v2", **SMALL, **LATENT},
    "deepseek_v2, lite": {"model_type": "deepseek_v2", **SMALL, **LATENT, "q_lora_rank": None},
    "deepseek_v3": {"model_type": "deepseek_v3", **SMALL, **LATENT},
    "gpt_oss": {
        "model_type": "gpt_oss",
        **SMALL,
        "head_dim": 16,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
    },
}


def _llama(
    hidden: int,
    width: int,
    layers: int,
    heads: int,
    kv_heads: int,
    vocabulary: int,
) -> Config:
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "tie_word_embeddings": False,
    }


LLAMA_3_8B = _llama(4096, 14336, 32, 32, 8, 128256)
LLAMA_3_70B = _llama(8192, 28672, 80, 64, 8, 128256)
LLAMA_3_405B = _llama(16384, 53248, 126, 128, 8, 128256)
PUBLISHED: dict[str, tuple[Config, int]] = {
    "Llama-3.1-8B": (LLAMA_3_8B, 8_030_261_248),
    "Llama-3.1-70B": (LLAMA_3_70B, 70_553_706_496),
    "Llama-3.1-405B": (LLAMA_3_405B, 405_853_388_800),
    "Llama-2-7B": (_llama(4096, 11008, 32, 32, 32, 32000), 6_738_415_616),
    "Qwen2.5-0.5B": (
        {
            "model_type": "qwen2",
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "vocab_size": 151936,
            "tie_word_embeddings": True,
        },
        494_032_768,
    ),
    "Qwen3-30B-A3B": (
        {
            "model_type": "qwen3_moe",
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "moe_intermediate_size": 768,
            "num_hidden_layers": 48,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "head_dim": 128,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "vocab_size": 151936,
        },
        30_532_122_624,
    ),
    "GPT-2": (
        {
            "model_type": "gpt2",
            "n_embd": 768,
            "n_layer": 12,
            "n_head": 12,
            "vocab_size": 50257,
            "n_positions": 1024,
        },
        124_439_808,
    ),
    "Gemma-2-2B": (
        {
            "model_type": "gemma2",
            "hidden_size": 2304,
            "intermediate_size": 9216,
            "num_hidden_layers": 26,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "vocab_size": 256000,
        },
        2_614_341_888,
    ),
    "Mixtral-8x7B": (
        {
            "model_type": "mixtral",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "vocab_size": 32000,
        },
        46_702_792_704,
    ),
}
