"""Shapes of well-known models with states, windows of several widths, chunks or shared caches."""

from __future__ import annotations

from typing import Any

from llmops_cli.sizing.public_shapes import HEAD_128, TIED, Config, shape, vision

MAMBA = {"state_size": 16, "expand": 2, "conv_kernel": 4, "use_conv_bias": True}
NEMOTRON = {
    **HEAD_128,
    "ssm_state_size": 128,
    "n_groups": 8,
    "conv_kernel": 4,
    "use_conv_bias": True,
}
LLAMA4_TOWER = {
    "model_type": "llama4_vision_model",
    "hidden_size": 1408,
    "intermediate_size": 5632,
    "num_hidden_layers": 34,
    "image_size": 336,
    "patch_size": 14,
    "vision_output_dim": 4096,
    "projector_input_dim": 4096,
    "projector_output_dim": 4096,
}
QWEN3_5_TOWER = {
    "model_type": "qwen3_5",
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_position_embeddings": 2304,
    "patch_size": 16,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "deepstack_visual_indexes": [],
}
QWEN3_5_SMALL_TOWER = {
    **QWEN3_5_TOWER,
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
}


def _qwen3_5(
    sizes: str,
    values: int,
    tower: Config = QWEN3_5_TOWER,
    **more: Any,  # Any: a config's values
) -> dict[str, Any]:
    """`values`: heads of values in the layers that keep a state."""
    family = "qwen3_5_moe" if "num_experts" in more else "qwen3_5"
    text = shape(f"{family}_text", sizes, head_dim=256, linear_num_value_heads=values, **more)
    return vision(family, text, {**tower, "out_hidden_size": text["hidden_size"]})


def _experts(count: int, active: int, width: int) -> dict[str, Any]:  # Any: a config's values
    return {
        "num_experts": count,
        "num_experts_per_tok": active,
        "moe_intermediate_size": width,
        "shared_expert_intermediate_size": width,
    }


def _jamba(sizes: str, rank: int) -> dict[str, Any]:  # Any: a config's values
    return shape("jamba", sizes, mamba_dt_rank=rank, num_experts=16, num_experts_per_tok=2)


def _granite(
    sizes: str,
    *,
    heads: int,
    shared: int,
    experts: int,
    active: int,
) -> dict[str, Any]:  # Any: a config's values
    """`heads`: of the state spaces; `shared`: width of the network that all tokens have."""
    kinds = ["attention" if index % 10 == 5 else "mamba" for index in range(40)]
    return shape(
        "granitemoehybrid",
        sizes,
        **TIED,
        layer_types=kinds,
        shared_intermediate_size=shared,
        num_local_experts=experts,
        num_experts_per_tok=active,
        mamba_n_heads=heads,
        mamba_d_state=128,
    )


def _llama4(experts: int, step: int) -> dict[str, Any]:  # Any: a config's values
    text = shape(
        "llama4_text",
        "5120 8192 48 40 8 202048",
        **HEAD_128,
        intermediate_size_mlp=16384,
        num_local_experts=experts,
        num_experts_per_tok=1,
        interleave_moe_layer_step=step,
        attention_chunk_size=8192,
    )
    return vision("llama4", text, LLAMA4_TOWER)


HYBRIDS: dict[str, Config] = {
    "mamba-2.8b": {
        "model_type": "mamba",
        "hidden_size": 2560,
        "num_hidden_layers": 64,
        "time_step_rank": 160,
        "vocab_size": 50280,
        **MAMBA,
    },
    "falcon-mamba-7b": {
        "model_type": "falcon_mamba",
        "hidden_size": 4096,
        "num_hidden_layers": 64,
        "time_step_rank": 256,
        "vocab_size": 65024,
        "tie_word_embeddings": False,
        **MAMBA,
    },
    "jamba-mini-1.5": _jamba("4096 14336 32 32 8 65536", 256),
    "jamba-large-1.5": _jamba("8192 24576 72 64 8 65536", 512),
    "granite-4.0-h-small": _granite(
        "4096 768 40 32 8 100352", heads=128, shared=1536, experts=72, active=10
    ),
    "granite-4.0-h-tiny": _granite(
        "1536 512 40 12 4 100352", heads=48, shared=1024, experts=64, active=6
    ),
    "granite-4.0-h-micro": _granite(
        "2048 8192 40 32 8 100352", heads=64, shared=8192, experts=0, active=0
    ),
    "falcon-h1-7b": shape(
        "falcon_h1",
        "3072 12288 44 12 2 130048",
        **HEAD_128,
        mamba_d_ssm=3072,
        mamba_n_heads=24,
        mamba_d_state=256,
        mamba_n_groups=1,
        mamba_rms_norm=False,
    ),
    "nemotron-h-8b": shape(
        "nemotron_h",
        "4096 21504 52 32 8 131072",
        **NEMOTRON,
        hybrid_override_pattern="M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
        mamba_num_heads=128,
        mamba_head_dim=64,
    ),
    "nemotron-nano-9b-v2": shape(
        "nemotron_h",
        "4480 15680 56 40 8 131072",
        **NEMOTRON,
        hybrid_override_pattern="M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-",
        mamba_num_heads=128,
        mamba_head_dim=80,
    ),
    "nemotron-3-nano-30b-a3b": shape(
        "nemotron_h",
        "2688 1856 52 32 2 131072",
        **NEMOTRON,
        hybrid_override_pattern="MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
        moe_intermediate_size=1856,
        moe_shared_expert_intermediate_size=3712,
        n_routed_experts=128,
        num_experts_per_tok=6,
        mamba_num_heads=64,
        mamba_head_dim=64,
    ),
    "qwen3-next-80b-a3b": shape(
        "qwen3_next", "2048 5120 48 16 2 151936", head_dim=256, **_experts(512, 10, 512)
    ),
    "qwen3.5-0.8b": _qwen3_5("1024 3584 24 8 2 248320", 16, QWEN3_5_SMALL_TOWER, **TIED),
    "qwen3.5-2b": _qwen3_5("2048 6144 24 8 2 248320", 16, QWEN3_5_SMALL_TOWER, **TIED),
    "qwen3.5-4b": _qwen3_5("2560 9216 32 16 4 248320", 32, QWEN3_5_SMALL_TOWER, **TIED),
    "qwen3.5-9b": _qwen3_5("4096 12288 32 16 4 248320", 32),
    "qwen3.5-27b": _qwen3_5("5120 17408 64 24 4 248320", 48),
    "qwen3.5-35b-a3b": _qwen3_5("2048 512 40 16 2 248320", 32, **_experts(256, 8, 512)),
    "qwen3.5-122b-a10b": _qwen3_5("3072 1024 48 32 2 248320", 64, **_experts(256, 8, 1024)),
    "qwen3.5-397b-a17b": _qwen3_5("4096 1024 60 32 2 248320", 64, **_experts(512, 10, 1024)),
    "llama-4-scout": _llama4(16, 1),
    "llama-4-maverick": _llama4(128, 2),
    "gemma-3n-e2b": shape(
        "gemma3n_text", "2048 8192 30 8 2 262400", **TIED, num_kv_shared_layers=10
    ),
    "gemma-3n-e4b": shape(
        "gemma3n_text", "2048 16384 35 8 2 262400", **TIED, num_kv_shared_layers=15
    ),
    "lfm2-1.2b": shape(
        "lfm2", "2048 12288 16 32 8 65536", full_attn_idxs=[2, 5, 8, 10, 12, 14], **TIED
    ),
    "lfm2-2.6b": shape(
        "lfm2",
        "2048 10752 30 32 8 65536",
        full_attn_idxs=[2, 6, 9, 12, 16, 20, 23, 26],
        block_auto_adjust_ff_dim=False,
        **TIED,
    ),
}
