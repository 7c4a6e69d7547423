"""The load of a model, from its architecture and a format."""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.architecture import Architecture, Attention, Block
from llmops_cli.sizing.gguf_mix import gguf_shape
from llmops_cli.sizing.load import CachePart, ServingLoad
from llmops_cli.sizing.parameters import EMBEDDING, Tensor, parameter_count, tensors_of
from llmops_cli.sizing.weight_formats import tensor_bytes


class _Counted(msgspec.Struct, kw_only=True):
    """Sums while tensors are gone through."""

    dense_bytes: float = 0.0
    dense_weights: float = 0.0
    rest_bytes: float = 0.0
    expert_bytes: float = 0.0
    expert_weights: float = 0.0


def load_of(
    architecture: Architecture,
    *,
    name: str,
    scheme: str,
    cache_bits: float = 16.0,
) -> ServingLoad:
    """`scheme`: a format's name in format_bits."""
    counted = _Counted()
    tensors = tensors_of(architecture)
    sizes = tensor_bytes(tensors, scheme, shape=gguf_shape(architecture))
    for tensor in tensors:
        _count(counted, tensor, size_bytes=sizes[tensor.name], is_tied=architecture.is_tied)
    experts = [block.experts for block in architecture.blocks if block.experts is not None]
    return ServingLoad(
        name=name,
        scheme=scheme,
        parameters=parameter_count(architecture),
        layers=len(architecture.blocks),
        hidden_size=architecture.hidden_size,
        dense_bytes=counted.dense_bytes,
        dense_weights=counted.dense_weights,
        rest_bytes=counted.rest_bytes,
        expert_bytes=counted.expert_bytes,
        expert_weights=counted.expert_weights,
        experts=experts[0].count if experts else 1,
        active_experts=experts[0].active if experts else 1,
        cache=cache_parts(architecture, cache_bits=cache_bits),
        attention_flops=sum(_attention_flops(block) for block in architecture.blocks),
        notes=architecture.notes,
    )


def cache_parts(architecture: Architecture, *, cache_bits: float) -> tuple[CachePart, ...]:
    """Layers with the same window together; a window as wide as the context is none."""
    sizes: dict[int | None, float] = {}
    for block in architecture.blocks:
        window = block.attention.window
        values = cached_values(block.attention)
        sizes[window] = sizes.get(window, 0.0) + values * cache_bits / 8
    return tuple(CachePart(bytes_per_token=size, window=window) for window, size in sizes.items())


def cached_values(attention: Attention) -> int:
    """Of one token: keys and values, or the latent vector and the rotary key of MLA."""
    latent = attention.latent
    if latent is not None:
        return latent.kv_rank + latent.rotary_dim
    return attention.key_size + attention.value_size


def _count(
    counted: _Counted,
    tensor: Tensor,
    *,
    size_bytes: int,
    is_tied: bool,
) -> None:
    if not tensor.is_matrix:
        counted.dense_bytes += size_bytes
    elif tensor.role == EMBEDDING and not is_tied:
        counted.rest_bytes += size_bytes
    elif tensor.active_share < 1:
        counted.expert_bytes += size_bytes
        counted.expert_weights += tensor.elements
    else:
        counted.dense_bytes += size_bytes
        counted.dense_weights += tensor.elements


def _attention_flops(block: Block) -> float:
    """Two products of two operations each, for one token of the context."""
    attention = block.attention
    return 2.0 * attention.heads * (attention.head_dim + attention.value_dim)
