"""config.json of state-space, hybrid and chunked models -> MixedModel.

What is read, and what holds where a key is missing, is as in Transformers' configuration classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from llmops_cli.sizing.architecture import Experts, FeedForward
from llmops_cli.sizing.config_values import (
    count_in,
    is_set,
    layers_in,
    name_in,
    names_in,
    positions_in,
    require_no_more,
    size_in,
)
from llmops_cli.sizing.mixed import MixedBlock, MixedModel, Network, UngatedExperts
from llmops_cli.sizing.mixed_attention import RECURRENT, mixed_attention
from llmops_cli.sizing.mixed_experts import (
    TWO_NORMS,
    llama4_blocks,
    qwen3_5_blocks,
    qwen3_next_blocks,
)
from llmops_cli.sizing.mixed_gemma import (
    gemma3n_blocks,
    gemma3n_parts,
    gemma4_blocks,
    layer_words,
)
from llmops_cli.sizing.mixed_nemotron import nemotron_blocks
from llmops_cli.sizing.mixed_others import (
    lfm2_blocks,
    mimo_blocks,
    mllama_blocks,
    mllama_parts,
    openelm_blocks,
    openelm_config,
)
from llmops_cli.sizing.mixers import Mamba, Mamba2
from llmops_cli.sizing.parameters import Tensor

Config = Mapping[str, Any]  # Any: each architecture has fields of its own
RANK_DIVISOR = 16


def mixed_model(config: Config) -> MixedModel | None:
    """None for a family that is not of this kind.

    Raises: UsageError for a config that lacks a size, or has one that makes no sense.
    """
    model_type = name_in(config, "model_type")
    blocks_of = FAMILIES.get(model_type)
    if blocks_of is None:
        return None
    blocks = blocks_of(config)
    if model_type in RENAMED:
        config = RENAMED[model_type](config)
    for block in blocks:
        for network in (block.network, block.experts):
            if isinstance(network, Experts | UngatedExperts):
                require_no_more("num_experts_per_tok", network.active, "experts", network.count)
    return MixedModel(
        model_type=model_type,
        hidden_size=size_in(config, "hidden_size"),
        vocab_size=size_in(config, "vocab_size"),
        blocks=tuple(blocks),
        is_tied=is_set(config, "tie_word_embeddings", default=model_type in TIED),
        max_positions=positions_in(config),
        parts=PARTS[model_type](config) if model_type in PARTS else (),
    )


def _rank(config: Config, key: str) -> int:
    """`auto`: a sixteenth of the hidden size."""
    if config.get(key) in (None, "auto"):
        return -(-size_in(config, "hidden_size") // RANK_DIVISOR)
    return size_in(config, key)


def _mamba_blocks(config: Config) -> list[MixedBlock]:
    mixer = Mamba(
        inner=size_in(config, "expand", 2) * size_in(config, "hidden_size"),
        state=size_in(config, "state_size", 16),
        rank=_rank(config, "time_step_rank"),
        kernel=size_in(config, "conv_kernel", 4),
        conv_bias=is_set(config, "use_conv_bias", default=True),
        bias=is_set(config, "use_bias"),
    )
    return [MixedBlock(norms=("norm",), mixer=mixer)] * layers_in(config)


def _mamba2_blocks(config: Config) -> list[MixedBlock]:
    bias = is_set(config, "use_bias")
    mixer = Mamba2(
        inner=size_in(config, "expand", 2) * size_in(config, "hidden_size"),
        heads=size_in(config, "num_heads", 128),
        state=size_in(config, "state_size", 128),
        groups=size_in(config, "n_groups", 8),
        kernel=size_in(config, "conv_kernel", 4),
        conv_bias=is_set(config, "use_conv_bias", default=True),
        bias=bias,
        output_bias=bias,
    )
    return [MixedBlock(norms=("norm",), mixer=mixer)] * layers_in(config)


def _jamba_blocks(config: Config) -> list[MixedBlock]:
    mixer = Mamba(
        inner=size_in(config, "mamba_expand", 2) * size_in(config, "hidden_size"),
        state=size_in(config, "mamba_d_state", 16),
        rank=_rank(config, "mamba_dt_rank"),
        kernel=size_in(config, "mamba_d_conv", 4),
        conv_bias=is_set(config, "mamba_conv_bias", default=True),
        bias=is_set(config, "mamba_proj_bias"),
        has_norms=True,
    )
    attention = mixed_attention(config)
    blocks = []
    for index in range(layers_in(config)):
        is_attention = _is_turn(config, index, key="attn_layer", period=8, offset=4)
        block = MixedBlock(
            norms=("input_layernorm", "pre_ff_layernorm"),
            attention=attention if is_attention else None,
            mixer=None if is_attention else mixer,
            network=_jamba_network(config, index),
        )
        blocks.append(block)
    return blocks


def _is_turn(config: Config, index: int, *, key: str, period: int, offset: int) -> bool:
    """Whether a layer is one of those that come every so often."""
    every = size_in(config, f"{key}_period", period)
    return index % every == count_in(config, f"{key}_offset", offset)


def _jamba_network(config: Config, index: int) -> Network:
    width = size_in(config, "intermediate_size")
    count = size_in(config, "num_experts", 16)
    if count == 1 or not _is_turn(config, index, key="expert_layer", period=2, offset=1):
        return FeedForward(width=width)
    return Experts(count=count, active=size_in(config, "num_experts_per_tok", 2), width=width)


def _mamba2_of(config: Config, *, inner: int) -> Mamba2:
    """Under the keys that Granite and Falcon share."""
    return Mamba2(
        inner=inner,
        heads=size_in(config, "mamba_n_heads", 128),
        state=size_in(config, "mamba_d_state", 256),
        groups=size_in(config, "mamba_n_groups", 1),
        kernel=size_in(config, "mamba_d_conv", 4),
        conv_bias=is_set(config, "mamba_conv_bias", default=True),
        bias=is_set(config, "mamba_proj_bias"),
        output_bias=is_set(config, "mamba_proj_bias"),
    )


def _granite_blocks(config: Config) -> list[MixedBlock]:
    inner = size_in(config, "mamba_expand", 2) * size_in(config, "hidden_size")
    mixer = _mamba2_of(config, inner=inner)
    attention = mixed_attention(config)
    count = layers_in(config)
    kinds = (
        names_in(config, "layer_types", count)
        or names_in(config, "layers_block_type", count)
        or ["mamba"] * count
    )
    blocks = []
    for kind in kinds:
        is_recurrent = kind in RECURRENT
        block = MixedBlock(
            norms=TWO_NORMS,
            attention=None if is_recurrent else attention,
            mixer=mixer if is_recurrent else None,
            network=_granite_network(config),
        )
        blocks.append(block)
    return blocks


def _granite_network(config: Config) -> Network:
    """One network for all tokens beside the experts, or alone."""
    shared = size_in(config, "shared_intermediate_size", 1024)
    count = count_in(config, "num_local_experts", 8)
    if count == 0:
        return FeedForward(width=shared, is_fused=True)
    return Experts(
        count=count,
        active=size_in(config, "num_experts_per_tok", 2),
        width=size_in(config, "intermediate_size"),
        shared_width=shared,
    )


def _falcon_h1_blocks(config: Config) -> list[MixedBlock]:
    """Attention and a state space side by side in each layer."""
    expanded = size_in(config, "mamba_expand", 2) * size_in(config, "hidden_size")
    base = _mamba2_of(config, inner=size_in(config, "mamba_d_ssm", expanded))
    mixer = msgspec.structs.replace(
        base,
        output_bias=is_set(config, "projectors_bias"),
        has_norm=is_set(config, "mamba_rms_norm"),
    )
    network = FeedForward(
        width=size_in(config, "intermediate_size"), has_bias=is_set(config, "mlp_bias")
    )
    block = MixedBlock(
        norms=("input_layernorm", "pre_ff_layernorm"),
        attention=mixed_attention(config),
        mixer=mixer,
        network=network,
    )
    return [block] * layers_in(config)


FAMILIES: dict[str, Callable[[Config], list[MixedBlock]]] = {
    "mamba": _mamba_blocks,
    "falcon_mamba": _mamba_blocks,
    "mamba2": _mamba2_blocks,
    "jamba": _jamba_blocks,
    "qwen3_next": qwen3_next_blocks,
    "granitemoehybrid": _granite_blocks,
    "falcon_h1": _falcon_h1_blocks,
    "nemotron_h": nemotron_blocks,
    "llama4_text": llama4_blocks,
    "llama4": llama4_blocks,
    "qwen3_5_text": qwen3_5_blocks,
    "qwen3_5": qwen3_5_blocks,
    "qwen3_5_moe_text": qwen3_5_blocks,
    "qwen3_5_moe": qwen3_5_blocks,
    "gemma3n_text": gemma3n_blocks,
    "gemma3n": gemma3n_blocks,
    "gemma4_text": gemma4_blocks,
    "gemma4": gemma4_blocks,
    "lfm2": lfm2_blocks,
    "lfm2_moe": lfm2_blocks,
    "openelm": openelm_blocks,
    "mllama_text_model": mllama_blocks,
    "mllama": mllama_blocks,
    "mimo_v2_flash": mimo_blocks,
}
PARTS: dict[str, Callable[[Config], tuple[Tensor, ...]]] = {
    "gemma3n_text": gemma3n_parts,
    "gemma3n": gemma3n_parts,
    "gemma4_text": layer_words,
    "gemma4": layer_words,
    "mllama_text_model": mllama_parts,
    "mllama": mllama_parts,
}
"""What lies outside of the layers."""
RENAMED: dict[str, Callable[[Config], Config]] = {"openelm": openelm_config}
GEMMAS = frozenset({"gemma3n", "gemma3n_text", "gemma4", "gemma4_text"})
TIED = frozenset({"mamba", "falcon_mamba", "lfm2", "lfm2_moe"}) | GEMMAS
