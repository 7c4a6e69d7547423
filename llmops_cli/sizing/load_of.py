"""The load of a model, from what is served of it and a format."""

from __future__ import annotations

import re

import msgspec

from llmops_cli.sizing.cache_rules import cache_bits
from llmops_cli.sizing.gguf_mix import MIXES
from llmops_cli.sizing.load import CachePart, ServingLoad
from llmops_cli.sizing.parameters import EMBEDDING, EXPERT, HEAD, STATE, Tensor
from llmops_cli.sizing.served import BITS, ServedModel, is_head, state_bytes, tensor_sizes
from llmops_cli.sizing.towers import VISION
from llmops_cli.sizing.weight_formats import OwnRules

GUESS_SPREAD = 0.3
"""Either way: of a family that is in no table and is read as another."""
TOWER_BYTES = 2
"""Of each number of a tower for pictures, which folders leave in 16 bits; a GGUF file has none."""
KEY_VALUE = re.compile(r"\.(?:k_proj|v_proj|attn_k|attn_v)\.")
SPLIT_LATENT = re.compile(r"\.(?:q_proj|q_b_proj|kv_b_proj|o_proj|attn_q|attn_output)\.")
"""Matrices of MLA that have heads, which engines split and Transformers' plan does not."""


class _Counted(msgspec.Struct, kw_only=True):
    """Sums while tensors are gone through."""

    dense_bytes: float = 0.0
    dense_weights: float = 0.0
    rest_bytes: float = 0.0
    expert_bytes: float = 0.0
    expert_weights: float = 0.0
    whole_bytes: float = 0.0
    key_value_bytes: float = 0.0
    table_bytes: float = 0.0
    head_bytes: float = 0.0


def load_of(
    model: ServedModel,
    *,
    scheme: str,
    is_own: bool = False,
    own: OwnRules | None = None,
    cache_type: str = "f16",
) -> ServingLoad:
    """`scheme`: a format's name. is_own: sizes are those of the model's file, and it only a name.

    own: what the model's config says of that format.

    Raises: UsageError for a format or a cache type that is not known.
    """
    counted = _Counted()
    sizes = tensor_sizes(model, None if is_own else scheme, own=own)
    for tensor in model.tensors:
        size_bytes = sizes[tensor.name]
        _count(counted, tensor, size_bytes=size_bytes, is_head=is_head(model, tensor))
        _place(counted, tensor, size_bytes=size_bytes)
    beside = 0 if is_own or scheme in MIXES else model.extra_parameters.get(VISION, 0)
    counted.rest_bytes += beside * TOWER_BYTES
    experts = max(1, model.gguf.experts)
    shares = [tensor.active_share for tensor in model.tensors if tensor.active_share < 1]
    return ServingLoad(
        name=model.name,
        scheme=scheme,
        parameters=model.parameters_total + beside,
        layers=len(model.layers),
        hidden_size=model.hidden_size,
        dense_bytes=counted.dense_bytes,
        dense_weights=counted.dense_weights,
        rest_bytes=counted.rest_bytes,
        expert_bytes=counted.expert_bytes,
        expert_weights=counted.expert_weights,
        experts=experts,
        active_experts=round(max(shares) * experts) if shares else experts,
        cache=cache_parts(model, bits=cache_bits(cache_type)),
        state_bytes=state_bytes(model),
        attention_flops=sum(layer.attention_flops for layer in model.layers),
        whole_bytes=counted.whole_bytes,
        key_value_bytes=counted.key_value_bytes,
        table_bytes=counted.table_bytes,
        head_bytes=counted.head_bytes,
        is_tied=model.is_tied,
        heads=model.heads,
        kv_heads=_least_heads(model),
        positions=model.context,
        expert_layers=len({each.layer for each in model.tensors if each.active_share < 1}),
        spread=GUESS_SPREAD if model.is_guess else 0.0,
        notes=model.notes,
    )


def cache_parts(model: ServedModel, *, bits: float) -> tuple[CachePart, ...]:
    """Layers with the same window together; a window as wide as the context is none."""
    sizes: dict[tuple[int | None, int | None], float] = {}
    for layer in model.layers:
        if layer.token_values and not layer.shares_cache:
            size = layer.token_values * bits / BITS
            key = (layer.window, layer.cache_heads)
            sizes[key] = sizes.get(key, 0.0) + size
    parts = []
    for (window, heads), size in sizes.items():
        parts.append(CachePart(bytes_per_token=size, window=window, heads=heads))
    return tuple(parts)


def _least_heads(model: ServedModel) -> int | None:
    """Of all layers with keys and values of their own."""
    counts = [layer.cache_heads for layer in model.layers if layer.token_values]
    known = [count for count in counts if count is not None]
    return min(known) if known and len(known) == len(counts) else None


def _count(
    counted: _Counted,
    tensor: Tensor,
    *,
    size_bytes: int,
    is_head: bool,
) -> None:
    """A table that is only looked up lies in memory, and is not read."""
    if not tensor.is_matrix:
        counted.dense_bytes += size_bytes
    elif tensor.role == EMBEDDING and not is_head:
        counted.rest_bytes += size_bytes
    elif tensor.active_share < 1:
        counted.expert_bytes += size_bytes
        counted.expert_weights += tensor.elements
    else:
        counted.dense_bytes += size_bytes
        counted.dense_weights += tensor.elements


def _place(counted: _Counted, tensor: Tensor, *, size_bytes: int) -> None:
    """By where it can lie when cards share a layer."""
    if tensor.role == EMBEDDING:
        counted.table_bytes += size_bytes
    elif tensor.role == HEAD:
        counted.head_bytes += size_bytes
    elif KEY_VALUE.search(tensor.name):
        counted.key_value_bytes += size_bytes
    elif _is_whole(tensor):
        counted.whole_bytes += size_bytes


def _is_whole(tensor: Tensor) -> bool:
    if tensor.split_dim is not None or tensor.role in {EXPERT, STATE}:
        return False
    return not SPLIT_LATENT.search(tensor.name)
