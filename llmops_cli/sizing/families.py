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
from llmops_cli.sizing.config_spellings import plain_spelling, with_class_sizes
from llmops_cli.sizing.config_values import (
    HINT,
    Config,
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
from llmops_cli.sizing.family_table import (
    ALIASES,
    FAMILIES,
    SERVED_ONLY,
    UNSUPPORTED,
    Family,
)
from llmops_cli.sizing.windows import windows

__all__ = ["ALIASES", "FAMILIES", "UNSUPPORTED", "Config", "Family"]
PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
"""Under which keys a multi-modal config has its decoder."""
EXPERT_KEYS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
STATE_KEYS = ("ssm_cfg", "mamba_d_state", "ssm_state_size", "attn_type_list", "linear_attn_config")
STATE_KINDS = frozenset({"linear_attention", "mamba", "conv", "recurrent"})


def architecture_of(config: Config) -> Architecture:
    """The text model of a config; families that are not known are read as Llama's, and say so.

    Raises: UsageError for one that lacks what every decoder's config has.
    """
    config = text_part(config)
    model_type = family_name(config)
    if model_type == "gpt2":
        return _gpt2(config)
    reason = UNSUPPORTED.get(model_type, SERVED_ONLY.get(model_type))
    if reason is not None:
        raise UsageError(
            f"family '{model_type}' is not supported: it has {reason}",
            hint="the .gguf file of it tells its tensors, where llama.cpp has made one",
        )
    if is_set(config, "is_encoder_decoder"):
        raise UsageError(f"family '{model_type}' has an encoder, which is not counted", hint=HINT)
    family = FAMILIES.get(model_type)
    if family is None:
        notes = (_unknown(model_type),)
        return _decoder(config, _nearest(config), model_type=model_type, notes=notes)
    return _decoder(
        plain_spelling(config, name_in(config, "model_type")),
        family,
        model_type=model_type,
        notes=(),
    )


def family_name(config: Config) -> str:
    """The row of FAMILIES that it is built as, or what the config calls it."""
    model_type = name_in(config, "model_type")
    return ALIASES.get(model_type, ALIASES.get(model_type.lower(), model_type))


def is_plain(config: Config) -> bool:
    """Whether its family is of this table: every layer has attention and a network."""
    name = family_name(config)
    return name == "gpt2" or name in FAMILIES


def _unknown(model_type: str) -> str:
    """What can still be told of a family that is in no table."""
    from llmops_cli.sizing.mixed_families import FAMILIES as MIXED

    said = f"family '{model_type}' is not known"
    if not model_type:
        said = "the config names no family ('model_type')"
    nearest = nearest_name(model_type, [*FAMILIES, *MIXED])
    return f"{said} ({nearest}): its sizes are read as Llama's, which other layers make wrong"


def _nearest(config: Config) -> Family:
    """Llama's, with experts where the config has some."""
    keys = [key for key in EXPERT_KEYS if count_in(config, key) > 1]
    if not keys:
        return FAMILIES["llama"]
    has_width = config.get("moe_intermediate_size") is not None
    return msgspec.structs.replace(
        FAMILIES["llama"],
        experts_key=keys[0],
        expert_width_key="moe_intermediate_size" if has_width else "intermediate_size",
    )


def require_attention(config: Config) -> None:
    """Raises: UsageError for a family in no table whose config tells of layers that keep a state.

    Read as Llama's they would have a cache that they do not have.
    """
    signs = [key for key in STATE_KEYS if config.get(key) is not None]
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and any(kind in STATE_KINDS for kind in kinds):
        signs.append("layer_types")
    if signs and not is_plain(config):
        raise UsageError(
            f"family '{name_in(config, 'model_type')}' is not known, and '{signs[0]}' tells of "
            "layers that keep a state instead of a cache",
            hint="the .gguf file of it tells its tensors, where llama.cpp has made one",
        )


def text_part(config: Config) -> Config:
    """A multi-modal model's own decoder. Raises: UsageError for a part that is no object."""
    for key in PARTS:
        part = config.get(key)
        if part is None:
            continue
        if not isinstance(part, Mapping):
            raise UsageError(f"the model's config has no usable '{key}'", hint=HINT)
        outer = {name: value for name, value in config.items() if name == "tie_word_embeddings"}
        return text_part({**outer, **with_class_sizes(part)})
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
            attention=attention,
            norms=_norms(config, family),
            feed_forward=feed_forward,
            experts=experts,
            activation_values=family.activation_values,
        )
        blocks.append(block)
    positions = positions_in(config)
    return Architecture(
        model_type=model_type,
        hidden_size=size_in(config, "hidden_size"),
        vocab_size=size_in(config, "vocab_size"),
        blocks=tuple(blocks),
        is_tied=is_set(config, "tie_word_embeddings", default=family.is_tied),
        norm=family.norm,
        norm_bias=family.norm_bias,
        head_bias=_is_on(config, family.head_bias_key, default=family.head_bias),
        embedding_norm=family.embedding_norm,
        max_positions=positions,
        learned_positions=_position_rows(family, positions),
        logits_softcap=bool(config.get("final_logit_softcapping", family.softcaps)),
        is_guess=bool(notes),
        notes=notes,
    )


def _norms(config: Config, family: Family) -> tuple[str, ...]:
    return family.norms[:1] if _is_on(config, family.parallel_key) else family.norms


def _is_on(config: Config, key: str | None, *, default: bool = False) -> bool:
    return default if key is None else is_set(config, key, default=default)


def _position_rows(family: Family, positions: int | None) -> int:
    if family.extra_positions is None or positions is None:
        return 0
    return positions + family.extra_positions


def _attention(config: Config, family: Family, *, window: int | None) -> Attention:
    heads = size_in(config, "num_attention_heads")
    has_bias = bool(_given(config, "attention_bias", family.attention_bias))
    query_bias = has_bias if family.query_bias is None else family.query_bias
    output_bias = has_bias if family.output_bias is None else family.output_bias
    if config.get("kv_lora_rank") is not None:
        return _latent_attention(config, family, heads, has_bias=has_bias)
    kv_heads = size_in(config, "num_key_value_heads", family.kv_heads or heads)
    require_multiple("num_attention_heads", heads, "num_key_value_heads", kv_heads)
    head_dim = head_size(config, heads, default=family.head_dim)
    has_norms = _is_on(config, family.head_norm_key, default=family.head_norm_key is None)
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        value_dim=head_dim,
        query_bias=bool(_given(config, "qkv_bias", query_bias)),
        output_bias=_is_on(config, family.output_bias_key, default=output_bias),
        is_fused=family.is_fused,
        norm_per_head=family.norm_per_head and has_norms,
        norm_per_row=family.norm_per_row and has_norms,
        softcap=bool(config.get("attn_logit_softcapping", family.softcaps)),
        sinks=family.sinks,
        dropout=bool(config.get("attention_dropout")),
        window=window,
    )


def _latent_attention(
    config: Config,
    family: Family,
    heads: int,
    *,
    has_bias: bool,
) -> Attention:
    rotary_dim = size_in(config, "qk_rope_head_dim")
    plain_dim = size_in(config, "qk_nope_head_dim")
    latent = Latent(
        query_rank=_query_rank(config, family),
        kv_rank=size_in(config, "kv_lora_rank"),
        plain_dim=plain_dim,
        rotary_dim=rotary_dim,
        index_heads=size_in(config, "index_n_heads", 64) if family.has_indexer else 0,
        index_dim=size_in(config, "index_head_dim", 128) if family.has_indexer else 0,
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


def _query_rank(config: Config, family: Family) -> int | None:
    """What chooses tokens starts from the queries' vector. Raises: UsageError where it has none."""
    if family.has_indexer:
        return size_in(config, "q_lora_rank")
    return count_in(config, "q_lora_rank") or None


def _feed_forward(config: Config, family: Family) -> FeedForward:
    bias_key = "mlp_bias" if family.reads_mlp_bias else None
    return FeedForward(
        width=size_in(config, "intermediate_size"),
        is_gated=family.is_gated,
        is_fused=family.is_fused and family.is_gated,
        has_bias=_is_on(config, bias_key, default=family.mlp_bias),
    )


def _experts(config: Config, family: Family, index: int) -> Experts | None:
    """None where the block has one network for all tokens."""
    if family.experts_key is None or _is_dense(config, family, index):
        return None
    count = size_in(config, family.experts_key)
    width = size_in(config, family.expert_width_key)
    gated_width = count_in(config, "shared_expert_intermediate_size")
    active = size_in(config, "num_experts_per_tok", 1)
    require_no_more("num_experts_per_tok", active, family.experts_key, count)
    return Experts(
        count=count,
        active=active,
        width=width,
        shared_width=gated_width or _shared_width(config, family, width),
        has_shared_gate=gated_width > 0,
        has_bias=family.expert_bias,
        router_bias=family.router_bias,
    )


def _shared_width(config: Config, family: Family, width: int) -> int:
    if family.shared_width_key is not None:
        return count_in(config, family.shared_width_key)
    return width * count_in(config, "n_shared_experts", family.shared_count)


def _is_dense(config: Config, family: Family, index: int) -> bool:
    """Whether a layer of a family with experts has none. Transformers' names of it, old and new."""
    kinds = config.get("mlp_layer_types")
    if isinstance(kinds, list) and index < len(kinds):
        return bool(kinds[index] == "dense")
    turns = config.get("moe_layer_freq")
    if isinstance(turns, list) and index < len(turns):
        return not turns[index]
    if index in (numbers_in(config, "mlp_only_layers") or []):
        return True
    if index < count_in(config, "first_k_dense_replace", family.dense_layers):
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
