"""config.json of LFM2, OpenELM, Llama 3.2's vision models and MiMo-V2 -> layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.architecture import Attention, Experts, FeedForward
from llmops_cli.sizing.config_values import (
    HINT,
    count_in,
    is_set,
    layers_in,
    listed_sizes,
    names_in,
    numbers_in,
    require_multiple,
    size_in,
)
from llmops_cli.sizing.mixed import MixedBlock, Network
from llmops_cli.sizing.mixed_attention import mixed_attention
from llmops_cli.sizing.mixers import ShortConv
from llmops_cli.sizing.parameters import EMBEDDING, NORM, Tensor

Config = Mapping[str, Any]  # Any: each architecture has fields of its own
TWO_NORMS = ("input_layernorm", "post_attention_layernorm")
CROSS_LAYERS = (3, 8, 13, 18, 23, 28, 33, 38)
PICTURE_WORDS = 8
"""Rows that Llama 3.2's table has beyond its vocabulary."""


def lfm2_blocks(config: Config) -> list[MixedBlock]:
    """Short convolutions, and attention between them."""
    count = layers_in(config)
    attention = msgspec.structs.replace(mixed_attention(config), norm_per_head=True)
    mixer = ShortConv(
        channels=size_in(config, "hidden_size"),
        kernel=size_in(config, "conv_L_cache", 3),
        bias=is_set(config, "conv_bias"),
    )
    blocks = []
    for index, kind in enumerate(_lfm2_kinds(config, count)):
        is_conv = kind == "conv"
        block = MixedBlock(
            norms=TWO_NORMS,
            attention=None if is_conv else attention,
            mixer=mixer if is_conv else None,
            network=_lfm2_network(config, index),
        )
        blocks.append(block)
    return blocks


def _lfm2_kinds(config: Config, count: int) -> list[str]:
    told = names_in(config, "layer_types", count)
    if told is not None:
        return told
    numbers = numbers_in(config, "full_attn_idxs")
    whole = range(count) if numbers is None else numbers
    return ["full_attention" if index in whole else "conv" for index in range(count)]


def _lfm2_network(config: Config, index: int) -> Network:
    if config.get("num_experts") is None:
        return FeedForward(width=_lfm2_width(config))
    if index < count_in(config, "num_dense_layers", 2):
        return FeedForward(width=size_in(config, "intermediate_size"))
    return Experts(
        count=size_in(config, "num_experts"),
        active=size_in(config, "num_experts_per_tok", 4),
        width=size_in(config, "moe_intermediate_size"),
    )


def _lfm2_width(config: Config) -> int:
    """Source: Lfm2MLP of Transformers."""
    width = size_in(config, "intermediate_size", count_in(config, "block_ff_dim") or None)
    if not is_set(config, "block_auto_adjust_ff_dim", default=True):
        return width
    step = size_in(config, "block_multiple_of", 256)
    factor = config.get("block_ffn_dim_multiplier", 1.0)
    width = int(2 * width / 3)
    if factor is None:
        return width
    return _divisible(factor * width, step, least_share=0.0, rounds_up=True)


def openelm_blocks(config: Config) -> list[MixedBlock]:
    """Heads and widths that differ by layer (arXiv:2404.14619, section 2.1)."""
    count = layers_in(config, "num_transformer_layers")
    size = size_in(config, "model_dim")
    heads = listed_sizes(config, "num_query_heads", count)
    kv_heads = listed_sizes(config, "num_kv_heads", count)
    multipliers = _multipliers(config, count)
    dim = size_in(config, "head_dim", 128)
    divisor = size_in(config, "ffn_dim_divisor", 256)
    has_norms = is_set(config, "normalize_qk_projections", default=True)
    blocks = []
    for index in range(count):
        require_multiple("num_query_heads", heads[index], "num_kv_heads", kv_heads[index])
        attention = Attention(
            heads=heads[index],
            kv_heads=kv_heads[index],
            head_dim=dim,
            value_dim=dim,
            is_fused=True,
            norm_per_head=has_norms,
        )
        network = FeedForward(
            width=_divisible(multipliers[index] * size, divisor),
            is_gated=is_set(config, "ffn_with_glu", default=True),
        )
        blocks.append(MixedBlock(norms=TWO_NORMS, attention=attention, network=network))
    return blocks


def openelm_config(config: Config) -> Config:
    """Under Llama's keys, for what is outside of the layers."""
    return {
        **config,
        "hidden_size": size_in(config, "model_dim"),
        "max_position_embeddings": config.get("max_context_length"),
        "tie_word_embeddings": is_set(config, "share_input_output_layers", default=True),
    }


def _multipliers(config: Config, count: int) -> list[float]:
    found = config.get("ffn_multipliers")
    is_list = isinstance(found, list) and len(found) == count
    if not is_list or not all(isinstance(each, int | float) and each > 0 for each in found or []):
        raise UsageError("the model's config has no usable 'ffn_multipliers'", hint=HINT)
    assert found is not None
    return [float(each) for each in found]


def _divisible(
    value: float,
    step: int,
    *,
    least_share: float = 0.9,
    rounds_up: bool = False,
) -> int:
    """The nearest multiple, or the next above; never much less (make_divisible of MobileNet)."""
    if rounds_up:
        return step * -(-int(value) // step)
    found = max(step, int(value + step / 2) // step * step)
    return found + step if found < least_share * value else found


def mllama_blocks(config: Config) -> list[MixedBlock]:
    """Layers that look at pictures, between those of Llama 3.1; a text has no cache in them."""
    count = layers_in(config)
    listed = numbers_in(config, "cross_attention_layers")
    crossing = CROSS_LAYERS if listed is None else listed
    plain = mixed_attention(config)
    crossed = msgspec.structs.replace(plain, norm_per_head=True)
    network = FeedForward(width=size_in(config, "intermediate_size"))
    gates = tuple(
        Tensor(name=name, shape=(1,), role=NORM)
        for name in ("cross_attn_attn_gate", "cross_attn_mlp_gate")
    )
    blocks = []
    for index in range(count):
        is_cross = index in crossing
        block = MixedBlock(
            norms=TWO_NORMS,
            attention=crossed if is_cross else plain,
            network=network,
            is_cross=is_cross,
            parts=gates if is_cross else (),
        )
        blocks.append(block)
    return blocks


def mllama_parts(config: Config) -> tuple[Tensor, ...]:
    shape = (PICTURE_WORDS, size_in(config, "hidden_size"))
    return (Tensor(name="model.embed_tokens.pictures", shape=shape, role=EMBEDDING),)


def mimo_blocks(config: Config) -> list[MixedBlock]:
    """Layers with a window have twice the keys, and sinks."""
    count = layers_in(config)
    kinds = _mimo_kinds(config, count)
    experts = Experts(
        count=size_in(config, "n_routed_experts"),
        active=size_in(config, "num_experts_per_tok"),
        width=size_in(config, "moe_intermediate_size"),
    )
    dense = FeedForward(width=size_in(config, "intermediate_size"))
    blocks = []
    for index, is_window in enumerate(kinds):
        block = MixedBlock(
            norms=TWO_NORMS,
            attention=_mimo_attention(config, is_window=is_window),
            network=dense if _is_dense(config, index) else experts,
        )
        blocks.append(block)
    return blocks


def _mimo_kinds(config: Config, count: int) -> list[bool]:
    told = names_in(config, "layer_types", count)
    if told is not None:
        return [kind == "sliding_attention" for kind in told]
    signs = numbers_in(config, "hybrid_layer_pattern")
    if signs is not None and len(signs) == count:
        return [sign == 1 for sign in signs]
    return [index > 0 and (index + 1) % 6 != 0 for index in range(count)]


def _is_dense(config: Config, index: int) -> bool:
    turns = config.get("moe_layer_freq")
    if isinstance(turns, list) and index < len(turns):
        return not turns[index]
    return index == 0


def _mimo_attention(config: Config, *, is_window: bool) -> Attention:
    plain = mixed_attention({"head_dim": 192, **config})
    whole = msgspec.structs.replace(
        plain, value_dim=size_in(config, "v_head_dim", 128), output_bias=False
    )
    if not is_window:
        return whole
    heads = size_in(config, "swa_num_key_value_heads", 2 * whole.kv_heads)
    return msgspec.structs.replace(
        whole,
        kv_heads=heads,
        sinks=True,
        window=size_in(config, "sliding_window", 128),
    )
