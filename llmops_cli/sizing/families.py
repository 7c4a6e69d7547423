"""config.json -> Architecture, family by family: what Transformers builds from the same file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.sizing.architecture import (
    Architecture,
    Attention,
    Block,
    Experts,
    FeedForward,
    Latent,
)
from llmops_cli.sizing.config_values import (
    HINT,
    count_in,
    head_size,
    is_set,
    layers_in,
    name_in,
    numbers_in,
    positions_in,
    require_multiple,
    require_no_more,
    size_in,
)
from llmops_cli.sizing.windows import windows

Config = Mapping[str, Any]  # Any: each architecture has fields of its own
PRE_NORMS = ("input_layernorm", "post_attention_layernorm")
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
SANDWICH = (*PRE_NORMS, "pre_feedforward_layernorm", "post_feedforward_layernorm")


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What a family does that its config doesn't say, and what holds where a key is missing."""

    norm: str = "rms"
    norms: tuple[str, ...] = PRE_NORMS
    is_tied: bool = False
    head_dim: int | None = None
    kv_heads: int | None = None
    query_bias: bool | None = None
    """None: as `attention_bias` says; the same for the output's."""
    output_bias: bool | None = None
    norm_per_head: bool = False
    norm_per_row: bool = False
    is_fused: bool = False
    reads_mlp_bias: bool = False
    sinks: bool = False
    expert_bias: bool = False
    softcaps: bool = False
    experts_key: str | None = None
    expert_width_key: str = "moe_intermediate_size"


FAMILIES: dict[str, Family] = {
    "llama": Family(reads_mlp_bias=True),
    "mistral": Family(kv_heads=8, query_bias=False, output_bias=False),
    "ministral": Family(kv_heads=8, query_bias=False, output_bias=False),
    "qwen2": Family(query_bias=True, output_bias=False),
    "qwen3": Family(head_dim=128, norm_per_head=True),
    "phi3": Family(query_bias=False, output_bias=False, is_fused=True),
    "gemma": Family(norm="gemma", is_tied=True, head_dim=256),
    "gemma2": Family(norm="gemma", norms=SANDWICH, is_tied=True, head_dim=256, softcaps=True),
    "gemma3_text": Family(
        norm="gemma", norms=SANDWICH, is_tied=True, head_dim=256, norm_per_head=True
    ),
    "olmo2": Family(norms=POST_NORMS, norm_per_row=True),
    "smollm3": Family(kv_heads=4, is_tied=True, reads_mlp_bias=True),
    "granite": Family(reads_mlp_bias=True),
    "mixtral": Family(
        kv_heads=8,
        query_bias=False,
        output_bias=False,
        experts_key="num_local_experts",
        expert_width_key="intermediate_size",
    ),
    "qwen2_moe": Family(query_bias=True, output_bias=False, experts_key="num_experts"),
    "qwen3_moe": Family(norm_per_head=True, experts_key="num_experts"),
    "deepseek_v2": Family(reads_mlp_bias=True, experts_key="n_routed_experts"),
    "deepseek_v3": Family(experts_key="n_routed_experts"),
    "gpt_oss": Family(
        head_dim=64,
        sinks=True,
        expert_bias=True,
        experts_key="num_local_experts",
        expert_width_key="intermediate_size",
    ),
}
ALIASES = {"gemma3": "gemma3_text"}
UNSUPPORTED = {
    "gemma3n": "tables of words by layer, and layers that share a cache",
    "gemma3n_text": "tables of words by layer, and layers that share a cache",
    "openelm": "heads and widths that differ by layer",
    "recurrentgemma": "gated linear recurrences",
    "recurrent_gemma": "gated linear recurrences",
    "rwkv": "no attention, and a state of its own form",
    "zamba": "blocks that several layers share",
    "zamba2": "blocks that several layers share",
}
"""Families that reading as Llama's would make quite wrong, with what they have."""


def architecture_of(config: Config) -> Architecture:
    """The text model of a config; families that are not known are read as Llama's, and say so.

    Raises: UsageError for one that lacks what every decoder's config has.
    """
    config = text_part(config)
    model_type = name_in(config, "model_type")
    model_type = ALIASES.get(model_type, model_type)
    if model_type == "gpt2":
        return _gpt2(config)
    if model_type in UNSUPPORTED:
        reason = UNSUPPORTED[model_type]
        raise UsageError(
            f"family '{model_type}' is not supported: it has {reason}",
            hint="the .gguf file of it tells its tensors, where llama.cpp has made one",
        )
    if is_set(config, "is_encoder_decoder"):
        raise UsageError(f"family '{model_type}' has an encoder, which is not counted", hint=HINT)
    family = FAMILIES.get(model_type)
    if family is None:
        notes = (_unknown(model_type),)
        return _decoder(config, FAMILIES["llama"], model_type=model_type, notes=notes)
    return _decoder(config, family, model_type=model_type, notes=())


def is_plain(config: Config) -> bool:
    """Whether its family is of this table: every layer has attention and a network."""
    model_type = name_in(config, "model_type")
    return model_type == "gpt2" or ALIASES.get(model_type, model_type) in FAMILIES


def _unknown(model_type: str) -> str:
    """What can still be told of a family that is in no table."""
    from llmops_cli.sizing.mixed_families import FAMILIES as MIXED

    said = f"family '{model_type}' is not known"
    if not model_type:
        said = "the config names no family ('model_type')"
    nearest = nearest_name(model_type, [*FAMILIES, *MIXED])
    return f"{said} ({nearest}): its sizes are read as Llama's, which other layers make wrong"


def text_part(config: Config) -> Config:
    """A multi-modal model's own decoder. Raises: UsageError for a part that is no object."""
    part = config.get("text_config")
    if part is not None and not isinstance(part, Mapping):
        raise UsageError("the model's config has no usable 'text_config'", hint=HINT)
    if part is not None:
        outer = {key: value for key, value in config.items() if key == "tie_word_embeddings"}
        return {**outer, **part}
    return config


def _given(config: Config, key: str, default: Any) -> Any:  # Any: a config's value
    """A key that is null is one that is not there."""
    value = config.get(key)
    return default if value is None else value


def _decoder(
    config: Config,
    family: Family,
    *,
    model_type: str,
    notes: tuple[str, ...],
) -> Architecture:
    count = layers_in(config)
    reach = windows(config, model_type=model_type, count=count)
    blocks = []
    for index in range(count):
        attention = _attention(config, family, window=reach[index])
        experts = _experts(config, family, index)
        feed_forward = _feed_forward(config, family) if experts is None else None
        block = Block(
            attention=attention, norms=family.norms, feed_forward=feed_forward, experts=experts
        )
        blocks.append(block)
    return Architecture(
        model_type=model_type,
        hidden_size=size_in(config, "hidden_size"),
        vocab_size=size_in(config, "vocab_size"),
        blocks=tuple(blocks),
        is_tied=is_set(config, "tie_word_embeddings", default=family.is_tied),
        norm=family.norm,
        max_positions=positions_in(config),
        logits_softcap=bool(config.get("final_logit_softcapping", family.softcaps)),
        notes=notes,
    )


def _attention(config: Config, family: Family, *, window: int | None) -> Attention:
    heads = size_in(config, "num_attention_heads")
    has_bias = bool(_given(config, "attention_bias", family.sinks))
    query_bias = has_bias if family.query_bias is None else family.query_bias
    output_bias = has_bias if family.output_bias is None else family.output_bias
    if config.get("kv_lora_rank") is not None:
        return _latent_attention(config, heads, has_bias=has_bias)
    kv_heads = size_in(config, "num_key_value_heads", family.kv_heads or heads)
    require_multiple("num_attention_heads", heads, "num_key_value_heads", kv_heads)
    head_dim = head_size(config, heads, default=family.head_dim)
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        value_dim=head_dim,
        query_bias=bool(_given(config, "qkv_bias", query_bias)),
        output_bias=output_bias,
        is_fused=family.is_fused,
        norm_per_head=family.norm_per_head,
        norm_per_row=family.norm_per_row,
        softcap=bool(config.get("attn_logit_softcapping", family.softcaps)),
        sinks=family.sinks,
        dropout=bool(config.get("attention_dropout")),
        window=window,
    )


def _latent_attention(config: Config, heads: int, *, has_bias: bool) -> Attention:
    rotary_dim = size_in(config, "qk_rope_head_dim")
    plain_dim = size_in(config, "qk_nope_head_dim")
    latent = Latent(
        query_rank=count_in(config, "q_lora_rank") or None,
        kv_rank=size_in(config, "kv_lora_rank"),
        plain_dim=plain_dim,
        rotary_dim=rotary_dim,
    )
    return Attention(
        heads=heads,
        kv_heads=heads,
        head_dim=plain_dim + rotary_dim,
        value_dim=size_in(config, "v_head_dim"),
        query_bias=has_bias,
        output_bias=has_bias,
        latent=latent,
    )


def _feed_forward(config: Config, family: Family) -> FeedForward:
    has_bias = family.reads_mlp_bias and bool(config.get("mlp_bias"))
    return FeedForward(
        width=size_in(config, "intermediate_size"),
        is_fused=family.is_fused,
        has_bias=has_bias,
    )


def _experts(config: Config, family: Family, index: int) -> Experts | None:
    """None where the block has one network for all tokens."""
    if family.experts_key is None or _is_dense(config, index):
        return None
    count = size_in(config, family.experts_key)
    width = size_in(config, family.expert_width_key)
    shared_width = count_in(config, "shared_expert_intermediate_size")
    shared_count = count_in(config, "n_shared_experts")
    active = size_in(config, "num_experts_per_tok", 1)
    require_no_more("num_experts_per_tok", active, family.experts_key, count)
    return Experts(
        count=count,
        active=active,
        width=width,
        shared_width=shared_width or shared_count * width,
        has_shared_gate=shared_width > 0,
        has_bias=family.expert_bias,
    )


def _is_dense(config: Config, index: int) -> bool:
    if index in (numbers_in(config, "mlp_only_layers") or []):
        return True
    if index < count_in(config, "first_k_dense_replace"):
        return True
    every = size_in(config, "decoder_sparse_step", 1)
    return (index + 1) % every != 0


def _gpt2(config: Config) -> Architecture:
    hidden_size = size_in(config, "n_embd")
    heads = size_in(config, "n_head")
    require_multiple("n_embd", hidden_size, "n_head", heads)
    head_dim = hidden_size // heads
    attention = Attention(
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        value_dim=head_dim,
        query_bias=True,
        output_bias=True,
        is_fused=True,
        is_rotary=False,
        softmax_format="compute",
        dropout=bool(_given(config, "attn_pdrop", 0.1)),
    )
    feed_forward = FeedForward(
        width=size_in(config, "n_inner", 4 * hidden_size),
        is_gated=False,
        has_bias=True,
        dropout=bool(_given(config, "resid_pdrop", 0.1)),
    )
    block = Block(attention=attention, norms=("ln_1", "ln_2"), feed_forward=feed_forward)
    positions = size_in(config, "n_positions", 1024)
    return Architecture(
        model_type="gpt2",
        hidden_size=hidden_size,
        vocab_size=size_in(config, "vocab_size"),
        blocks=(block,) * layers_in(config, "n_layer"),
        is_tied=is_set(config, "tie_word_embeddings", default=True),
        norm="layer",
        max_positions=positions,
        learned_positions=positions,
    )
