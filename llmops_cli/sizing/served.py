"""A model as it is served: what lies in memory, what a sequence adds, and what a token meets.

Nothing here reads a file or knows a family: served_models.py makes these from what a user names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from llmops_cli.sizing.cache_rules import EXACT, CacheRules, cache_bits
from llmops_cli.sizing.parameters import EMBEDDING, HEAD, Tensor
from llmops_cli.sizing.weight_formats import GgufShape, OwnRules, tensor_bytes

LayerKind = Literal["full", "window", "chunk", "latent", "recurrent", "none"]
BITS = 8


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer keeps of a sequence.

    token_values: numbers for each token in the cache (keys and values, or MLA's latent vector and
    rotary key). window: tokens that it looks back to at most. conv_values, state_values: numbers of
    constant count for each sequence. shares_cache: it reads another layer's cache and has none.
    attention_flops: of one token, for each token that it looks at. cache_heads: of keys and values,
    those that cards can have one each of; None: not told.
    """

    kind: LayerKind
    token_values: int = 0
    window: int | None = None
    conv_values: int = 0
    state_values: int = 0
    shares_cache: bool = False
    attention_flops: float = 0.0
    cache_heads: int | None = None


class ServedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder, whatever its parts. `formats`: bytes of each tensor where a file tells them.

    parameters_active: those that one token is multiplied with or looks up. heads: of queries.
    extra_parameters: of towers for pictures and sound, and of heads that predict further tokens;
    they are in no other number. is_guess: its family is in no table, and its sizes are another's.
    """

    name: str
    source: str
    model_type: str
    hidden_size: int
    vocab_size: int
    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...]
    parameters_total: int
    parameters_active: int
    dtype: str
    gguf: GgufShape
    context: int | None = None
    heads: int | None = None
    is_tied: bool = False
    formats: Mapping[str, int] | None = None
    extra_parameters: Mapping[str, int] = msgspec.field(default_factory=dict)
    is_guess: bool = False
    notes: tuple[str, ...] = ()


def of_tensors(
    tensors: tuple[Tensor, ...],
    *,
    name: str,
    source: str,
    model_type: str,
    hidden_size: int,
    vocab_size: int,
    layers: tuple[Layer, ...],
    dtype: str,
    gguf: GgufShape,
    context: int | None,
    heads: int | None,
    is_tied: bool,
    is_guess: bool = False,
    notes: tuple[str, ...] = (),
) -> ServedModel:
    """With its parameters counted."""
    return ServedModel(
        name=name,
        source=source,
        model_type=model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        layers=layers,
        tensors=tensors,
        parameters_total=sum(each.elements for each in tensors),
        parameters_active=round(sum(each.elements * each.active_share for each in tensors)),
        dtype=dtype,
        gguf=gguf,
        context=context,
        heads=heads,
        is_tied=is_tied,
        is_guess=is_guess,
        notes=notes,
    )


def weights_bytes(model: ServedModel, weight_format: str | None = None) -> int:
    """Of all tensors in a format; None: as the model's own files have them.

    Raises: UsageError for a format that is not known.
    """
    return sum(tensor_sizes(model, weight_format).values())


def tensor_sizes(
    model: ServedModel,
    weight_format: str | None = None,
    *,
    own: OwnRules | None = None,
) -> dict[str, int]:
    """Bytes by tensor, scales and zero points included. `own`: what its config says of its format.

    Raises: UsageError for a format that is not known.
    """
    if weight_format is None and model.formats is not None:
        return dict(model.formats)
    return tensor_bytes(model.tensors, weight_format or model.dtype, shape=model.gguf, own=own)


def kv_bytes_per_token(model: ServedModel, dtype: str = "f16") -> float:
    """What one more token takes while no window is full."""
    values = sum(layer.token_values for layer in model.layers if not layer.shares_cache)
    return values * cache_bits(dtype) / BITS


def kv_bytes(
    model: ServedModel,
    tokens: int,
    *,
    dtype: str = "f16",
    rules: CacheRules = EXACT,
) -> int:
    """Of `rules.sequences` sequences with so many tokens each, as `rules` allocates it.

    A window holds no more than its width and what the engine adds; states do not grow.
    """
    bits = cache_bits(dtype)
    total = 0.0
    for layer in model.layers:
        if layer.token_values and not layer.shares_cache:
            cells = rules.cells(tokens, layer.window)
            total += cells * layer.token_values * bits / BITS
    return math.ceil(total) + state_bytes(model, rules=rules)


def state_bytes(model: ServedModel, *, rules: CacheRules = EXACT) -> int:
    """Recurrent and convolution states of all sequences."""
    each = 0
    for layer in model.layers:
        each += layer.conv_values * rules.conv_bytes + layer.state_values * rules.state_bytes
    return each * rules.sequences


def experts_touched(model: ServedModel, batch: float) -> float:
    """Of a layer's routed experts, the share that a batch meets if tokens draw at random."""
    shares = {tensor.active_share for tensor in model.tensors if tensor.active_share < 1}
    if not shares:
        return 1.0
    return float(1 - (1 - max(shares)) ** batch)


def active_weight_bytes_per_token(
    model: ServedModel,
    weight_format: str | None = None,
    batch: float = 1,
) -> float:
    """Weights that one decoding step of `batch` tokens reads, not divided by the batch.

    An embedding table that is only looked up is not read; a tied one is, as the head.
    """
    sizes = tensor_sizes(model, weight_format)
    total = 0.0
    for tensor in model.tensors:
        if tensor.role == EMBEDDING and not is_head(model, tensor):
            continue
        share = 1 - (1 - tensor.active_share) ** batch
        total += sizes.get(tensor.name, 0) * share
    return total


def flops_per_token(model: ServedModel, context: int) -> float:
    """Of one token that looks back at `context` tokens, forward: two for each weight it meets."""
    total = 0.0
    for tensor in model.tensors:
        if tensor.is_matrix and (tensor.role != EMBEDDING or is_head(model, tensor)):
            total += 2 * tensor.elements * tensor.active_share
    for layer in model.layers:
        reach = context if layer.window is None else min(context, layer.window)
        total += layer.attention_flops * reach
    return total


def is_head(model: ServedModel, tensor: Tensor) -> bool:
    """Whether a table of embeddings is the head, or also the head."""
    if tensor.role == HEAD:
        return True
    return model.is_tied and tensor.shape == (model.vocab_size, model.hidden_size)
