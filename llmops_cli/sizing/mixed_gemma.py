"""config.json of Gemma 3n and Gemma 4: shared caches, and a table of words for each layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from llmops_cli.sizing.architecture import Attention, Experts, FeedForward
from llmops_cli.sizing.config_values import (
    count_in,
    is_set,
    layers_in,
    listed_sizes,
    size_in,
)
from llmops_cli.sizing.family_table import SANDWICH
from llmops_cli.sizing.mixed import MixedBlock
from llmops_cli.sizing.mixed_attention import mixed_attention
from llmops_cli.sizing.parameters import (
    EMBEDDING,
    FEED_FORWARD,
    NORM,
    Tensor,
    norm_tensor,
)
from llmops_cli.sizing.windows import windows

Config = Mapping[str, Any]  # Any: each architecture has fields of its own
LAYER_INPUT = 256
"""Numbers of a word for each layer, where a config tells none."""
LAYER_WORDS = 262_144
ALTERNATIVES = 4
MORE_NORMS = (
    "post_feedforward_layernorm_1",
    "post_feedforward_layernorm_2",
    "pre_feedforward_layernorm_2",
)


def gemma3n_blocks(config: Config) -> list[MixedBlock]:
    count = layers_in(config)
    reach = windows({"sliding_window": 512, **config}, model_type="gemma3n_text", count=count)
    shared = _first_shared(config, count, default=15)
    attention = _attention(config)
    widths = _widths(config, count)
    parts = (*_alternating_parts(config), *_layer_input_parts(config))
    blocks = []
    for index in range(count):
        block = MixedBlock(
            norms=SANDWICH,
            attention=msgspec.structs.replace(attention, window=reach[index]),
            network=FeedForward(width=widths[index]),
            shares_cache=index >= shared,
            parts=parts,
        )
        blocks.append(block)
    return blocks


def gemma4_blocks(config: Config) -> list[MixedBlock]:
    count = layers_in(config)
    reach = windows({"sliding_window": 512, **config}, model_type="gemma4_text", count=count)
    reach[-1] = None
    shared = _first_shared(config, count, default=0)
    parts = tuple(_layer_input_parts(config))
    blocks = []
    for index, window in enumerate(reach):
        is_shared = index >= shared
        is_wide = is_shared and is_set(config, "use_double_wide_mlp")
        experts = _gemma4_experts(config)
        block = MixedBlock(
            norms=SANDWICH if experts is None else (*SANDWICH, *MORE_NORMS),
            attention=_gemma4_attention(config, window),
            network=FeedForward(width=size_in(config, "intermediate_size") * (1 + is_wide)),
            shares_cache=is_shared,
            key_is_value=window is None and is_set(config, "attention_k_eq_v"),
            experts=experts,
            parts=(*parts, *_router_parts(config, experts)),
        )
        blocks.append(block)
    return blocks


def layer_words(config: Config) -> tuple[Tensor, ...]:
    """Tables outside of the layers: one of words for all of them, and what is projected to each."""
    size = size_in(config, "hidden_size")
    inputs = count_in(config, "hidden_size_per_layer_input", LAYER_INPUT)
    if not inputs:
        return ()
    width = layers_in(config) * inputs
    words = size_in(config, "vocab_size_per_layer_input", LAYER_WORDS)
    return (
        Tensor(name="model.embed_tokens_per_layer.weight", shape=(words, width), role=EMBEDDING),
        _matrix("model.per_layer_model_projection", width, size),
        norm_tensor("model.per_layer_projection_norm", inputs),
    )


def gemma3n_parts(config: Config) -> tuple[Tensor, ...]:
    size = size_in(config, "hidden_size")
    found = list(layer_words(config))
    for name in ("altup_projections", "altup_unembed_projections"):
        count = _alternatives(config) - 1
        found += [_matrix(f"model.{name}.{index}", size, size) for index in range(count)]
    return tuple(found)


def _widths(config: Config, count: int) -> list[int]:
    """One for all layers, or one for each. Raises: UsageError for a list of another length."""
    if not isinstance(config.get("intermediate_size"), list):
        return [size_in(config, "intermediate_size")] * count
    return listed_sizes(config, "intermediate_size", count)


def _first_shared(config: Config, count: int, *, default: int) -> int:
    return count - count_in(config, "num_kv_shared_layers", default)


def _alternatives(config: Config) -> int:
    return size_in(config, "altup_num_inputs", ALTERNATIVES)


def _attention(config: Config) -> Attention:
    told = mixed_attention({"head_dim": 256, **config})
    return msgspec.structs.replace(told, norm_per_head=True)


def _gemma4_attention(config: Config, window: int | None) -> Attention:
    """Layers that look at everything have wider heads, and may have fewer keys."""
    wanted = dict(config)
    if window is None:
        wanted["head_dim"] = size_in(config, "global_head_dim", 512)
        heads = config.get("num_global_key_value_heads")
        if heads is not None and is_set(config, "attention_k_eq_v"):
            wanted["num_key_value_heads"] = heads
    return msgspec.structs.replace(_attention(wanted), window=window)


def _gemma4_experts(config: Config) -> Experts | None:
    if not is_set(config, "enable_moe_block"):
        return None
    return Experts(
        count=size_in(config, "num_experts"),
        active=size_in(config, "top_k_experts"),
        width=size_in(config, "moe_intermediate_size"),
    )


def _router_parts(config: Config, experts: Experts | None) -> Iterator[Tensor]:
    if experts is not None:
        yield norm_tensor("router.scale", size_in(config, "hidden_size"))
        yield norm_tensor("router.per_expert_scale", experts.count)


def _layer_input_parts(config: Config) -> Iterator[Tensor]:
    size = size_in(config, "hidden_size")
    inputs = count_in(config, "hidden_size_per_layer_input", LAYER_INPUT)
    if inputs:
        yield _matrix("per_layer_input_gate", inputs, size)
        yield _matrix("per_layer_projection", size, inputs)
        yield norm_tensor("post_per_layer_input_norm", size)


def _alternating_parts(config: Config) -> Iterator[Tensor]:
    """Source: arXiv:2301.13310 (AltUp), and LAuReL, arXiv:2411.07501, as Transformers has them."""
    size = size_in(config, "hidden_size")
    count = _alternatives(config)
    rank = size_in(config, "laurel_rank", 64)
    yield Tensor(name="altup.correct_output_scale", shape=(size,), role=NORM)
    yield _matrix("altup.correction_coefs", count, count)
    yield _matrix("altup.prediction_coefs", count**2, count)
    yield _matrix("altup.modality_router", count, size)
    yield norm_tensor("altup.router_norm", size)
    yield _matrix("laurel.linear_left", rank, size)
    yield _matrix("laurel.linear_right", size, rank)
    yield norm_tensor("laurel.post_laurel_norm", size)


def _matrix(name: str, outputs: int, inputs: int) -> Tensor:
    return Tensor(name=f"{name}.weight", shape=(outputs, inputs), role=FEED_FORWARD)
