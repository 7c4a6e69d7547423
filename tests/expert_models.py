"""Tiny random models with experts, routers and other kinds of matrices, and their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIZE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 128,
}
DEEPSEEK: dict[str, Any] = {
    "num_key_value_heads": 4,
    "moe_intermediate_size": 96,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 32,
    "q_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 32,
}
MODELS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 96,
        "shared_expert_intermediate_size": 128,
    },
    "qwen3_moe": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 96,
        "head_dim": 32,
    },
    "deepseek_v2": DEEPSEEK,
    "deepseek_v3": DEEPSEEK,
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 32},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128},
}
"""Model type -> what it needs beside the common size."""


def blank_model(model_type: str, **more: Any) -> Any:
    """The architecture without weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = {**SIZE, **MODELS[model_type], **more}
    if model_type == "gpt2":
        fields = {"vocab_size": SIZE["vocab_size"], **MODELS["gpt2"], **more}
    config = AutoConfig.for_model(model_type, **fields)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def random_model(model_type: str, **more: Any) -> Any:
    """With weights that make a difference: experts too."""
    import torch

    model = blank_model(model_type, **more)
    plain = type(model)(model.config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in plain.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.08, generator=generator)
    return plain.eval()


def write_model(folder: Path, model_type: str, **more: Any) -> Path:
    random_model(model_type, **more).save_pretrained(folder)
    return folder
