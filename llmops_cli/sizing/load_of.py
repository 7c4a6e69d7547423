"""The load of a model, from what is served of it and a format."""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.cache_rules import cache_bits
from llmops_cli.sizing.load import CachePart, ServingLoad
from llmops_cli.sizing.parameters import EMBEDDING, Tensor
from llmops_cli.sizing.served import BITS, ServedModel, state_bytes, tensor_sizes


class _Counted(msgspec.Struct, kw_only=True):
    """Sums while tensors are gone through."""

    dense_bytes: float = 0.0
    dense_weights: float = 0.0
    rest_bytes: float = 0.0
    expert_bytes: float = 0.0
    expert_weights: float = 0.0


def load_of(
    model: ServedModel,
    *,
    scheme: str,
    is_own: bool = False,
    cache_type: str = "f16",
) -> ServingLoad:
    """`scheme`: a format's name. is_own: sizes are those of the model's file, and it only a name.

    Raises: UsageError for a format or a cache type that is not known.
    """
    counted = _Counted()
    sizes = tensor_sizes(model, None if is_own else scheme)
    for tensor in model.tensors:
        _count(counted, tensor, size_bytes=sizes[tensor.name], is_tied=model.is_tied)
    experts = max(1, model.gguf.experts)
    shares = [tensor.active_share for tensor in model.tensors if tensor.active_share < 1]
    return ServingLoad(
        name=model.name,
        scheme=scheme,
        parameters=model.parameters_total,
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
        notes=model.notes,
    )


def cache_parts(model: ServedModel, *, bits: float) -> tuple[CachePart, ...]:
    """Layers with the same window together; a window as wide as the context is none."""
    sizes: dict[int | None, float] = {}
    for layer in model.layers:
        if layer.token_values and not layer.shares_cache:
            size = layer.token_values * bits / BITS
            sizes[layer.window] = sizes.get(layer.window, 0.0) + size
    return tuple(CachePart(bytes_per_token=size, window=window) for window, size in sizes.items())


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
