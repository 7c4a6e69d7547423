"""config.json of Qwen3-Next and Llama 4 -> layers, as Transformers builds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmops_cli.sizing.architecture import Experts, FeedForward
from llmops_cli.sizing.config_values import count_in, layers_in, names_in, numbers_in, size_in
from llmops_cli.sizing.mixed import MixedBlock, Network
from llmops_cli.sizing.mixed_attention import RECURRENT, mixed_attention
from llmops_cli.sizing.mixers import DeltaNet

Config = Mapping[str, Any]  # Any: each architecture has fields of its own
TWO_NORMS = ("input_layernorm", "post_attention_layernorm")


def qwen3_next_blocks(config: Config) -> list[MixedBlock]:
    mixer = DeltaNet(
        key_heads=size_in(config, "linear_num_key_heads", 16),
        key_dim=size_in(config, "linear_key_head_dim", 128),
        value_heads=size_in(config, "linear_num_value_heads", 32),
        value_dim=size_in(config, "linear_value_head_dim", 128),
        kernel=size_in(config, "linear_conv_kernel_dim", 4),
    )
    attention = msgspec.structs.replace(mixed_attention(config), norm_per_head=True)
    count = layers_in(config)
    every = size_in(config, "full_attention_interval", 4)
    kinds = names_in(config, "layer_types", count) or [
        "linear_attention" if (index + 1) % every else "full_attention" for index in range(count)
    ]
    blocks = []
    for index, kind in enumerate(kinds):
        is_recurrent = kind in RECURRENT
        block = MixedBlock(
            norms=TWO_NORMS,
            attention=None if is_recurrent else attention,
            has_output_gate=True,
            mixer=mixer if is_recurrent else None,
            network=_qwen_network(config, index),
        )
        blocks.append(block)
    return blocks


def qwen3_5_blocks(config: Config) -> list[MixedBlock]:
    """As Qwen3-Next, with heads of 256; a model without experts has one network a layer."""
    return qwen3_next_blocks({"head_dim": 256, **config})


def _qwen_network(config: Config, index: int) -> Network:
    every = size_in(config, "decoder_sparse_step", 1)
    dense = numbers_in(config, "mlp_only_layers") or []
    if (index + 1) % every or index in dense or config.get("num_experts") is None:
        return FeedForward(width=size_in(config, "intermediate_size"))
    return Experts(
        count=size_in(config, "num_experts"),
        active=size_in(config, "num_experts_per_tok"),
        width=size_in(config, "moe_intermediate_size"),
        shared_width=size_in(config, "shared_expert_intermediate_size"),
        has_shared_gate=True,
    )


def llama4_blocks(config: Config) -> list[MixedBlock]:
    """Layers with rotary keys see their chunk, the others see everything."""
    attention = mixed_attention(config)
    chunk = count_in(config, "attention_chunk_size", 8192) or None
    count = layers_in(config)
    blocks = []
    for index in range(count):
        block = MixedBlock(
            norms=TWO_NORMS,
            attention=attention,
            chunk=chunk if _has_rotary(config, index) else None,
            network=_llama4_network(config, index),
        )
        blocks.append(block)
    return blocks


def _has_rotary(config: Config, index: int) -> bool:
    listed = numbers_in(config, "no_rope_layers")
    if listed and index < len(listed):
        return listed[index] != 0
    return (index + 1) % size_in(config, "no_rope_layer_interval", 4) != 0


def _llama4_network(config: Config, index: int) -> Network:
    listed = numbers_in(config, "moe_layers")
    every = size_in(config, "interleave_moe_layer_step", 1)
    is_moe = (index + 1) % every == 0 if listed is None else index in listed
    if not is_moe:
        return FeedForward(width=size_in(config, "intermediate_size_mlp"))
    width = size_in(config, "intermediate_size")
    return Experts(
        count=size_in(config, "num_local_experts"),
        active=size_in(config, "num_experts_per_tok", 1),
        width=width,
        shared_width=width,
    )
