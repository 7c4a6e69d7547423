"""Decoders whose layers differ in kind: attention, state spaces, networks, in any order.

Only what serving asks of them is here; mixed_families.py reads configs into these.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from llmops_cli.sizing.architecture import Attention, Experts, FeedForward
from llmops_cli.sizing.gguf_mix import GgufShape
from llmops_cli.sizing.mixers import Mixer
from llmops_cli.sizing.parameters import (
    EXPERT,
    FEED_FORWARD,
    Tensor,
    attention_tensors,
    expert_tensors,
    linear_tensors,
    network_tensors,
    norm_tensor,
    stacked,
)
from llmops_cli.sizing.served import Layer, LayerKind, ServedModel, of_tensors


class UngatedExperts(msgspec.Struct, frozen=True, kw_only=True):
    """One matrix up and one down for each of `count`; `inputs`: of what they are given."""

    count: int
    active: int
    width: int
    shared_width: int
    inputs: int


Network = FeedForward | Experts | UngatedExperts


class MixedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One layer. `chunk`: tokens that attention sees at once, those of its own chunk.

    has_output_gate: queries come with a gate of their own size. shares_cache: keys and values are
    another layer's. is_cross: they are of a picture, not of the text. key_is_value: one matrix
    makes both. experts: beside `network`, for layers with both. parts: what else it has.
    """

    norms: tuple[str, ...]
    attention: Attention | None = None
    chunk: int | None = None
    has_output_gate: bool = False
    mixer: Mixer | None = None
    network: Network | None = None
    shares_cache: bool = False
    is_cross: bool = False
    key_is_value: bool = False
    experts: Experts | None = None
    parts: tuple[Tensor, ...] = ()


class MixedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder of such layers. `parts`: what it has outside of them beside words and head."""

    model_type: str
    hidden_size: int
    vocab_size: int
    blocks: tuple[MixedBlock, ...]
    is_tied: bool
    max_positions: int | None = None
    parts: tuple[Tensor, ...] = ()


def served_mixed(model: MixedModel, *, name: str, source: str, dtype: str) -> ServedModel:
    heads = [block.attention.heads for block in model.blocks if block.attention is not None]
    return of_tensors(
        tuple(mixed_tensors(model)),
        name=name,
        source=source,
        model_type=model.model_type,
        hidden_size=model.hidden_size,
        vocab_size=model.vocab_size,
        layers=tuple(_layer(block) for block in model.blocks),
        dtype=dtype,
        gguf=_gguf_shape(model),
        context=model.max_positions,
        heads=min(heads) if heads else None,
        is_tied=model.is_tied,
    )


def mixed_tensors(model: MixedModel) -> Iterator[Tensor]:
    size = model.hidden_size
    yield from stacked(
        (_block_tensors(block, size) for block in model.blocks),
        words=(model.vocab_size, size),
        is_tied=model.is_tied,
    )
    yield from model.parts


def _block_tensors(block: MixedBlock, size: int) -> Iterator[Tensor]:
    if block.attention is not None:
        left_out = _left_out(block)
        for tensor in attention_tensors(block.attention, size):
            if not any(name in tensor.name for name in left_out):
                yield _with_gate(tensor) if block.has_output_gate else tensor
    if block.mixer is not None:
        yield from block.mixer.tensors(size, "mamba")
    yield from _network_tensors(block.network, size)
    if block.experts is not None:
        yield from expert_tensors(block.experts, size)
    for name in block.norms:
        yield norm_tensor(name, size)
    yield from block.parts


def _left_out(block: MixedBlock) -> tuple[str, ...]:
    """Parts of attention that a layer does without."""
    if block.shares_cache:
        return (".k_proj.", ".v_proj.", ".k_norm.")
    return (".v_proj.",) if block.key_is_value else ()


def _with_gate(tensor: Tensor) -> Tensor:
    """Queries and their gates come from one matrix."""
    if ".q_proj." not in tensor.name:
        return tensor
    rows, *columns = tensor.shape
    return msgspec.structs.replace(tensor, shape=(2 * rows, *columns))


def _network_tensors(network: Network | None, size: int) -> Iterator[Tensor]:
    if isinstance(network, Experts):
        yield from expert_tensors(network, size)
    elif isinstance(network, UngatedExperts):
        yield from _ungated_experts(network, size)
    elif network is not None:
        yield from network_tensors(network, size, prefix="mlp")


def _ungated_experts(experts: UngatedExperts, size: int) -> Iterator[Tensor]:
    shapes = {
        "up_proj": (experts.count, experts.width, experts.inputs),
        "down_proj": (experts.count, experts.inputs, experts.width),
    }
    for name, shape in shapes.items():
        yield Tensor(
            name=f"mlp.experts.{name}",
            shape=shape,
            role=EXPERT,
            active_share=experts.active / experts.count,
        )
    yield Tensor(name="mlp.gate.weight", shape=(experts.count, size), role=FEED_FORWARD)
    shared = FeedForward(width=experts.shared_width, is_gated=False)
    yield from network_tensors(shared, size, prefix="mlp.shared_experts")
    if experts.inputs != size:
        yield from _latent("mlp.fc1_latent_proj", size, experts.inputs)
        yield from _latent("mlp.fc2_latent_proj", experts.inputs, size)


def _latent(name: str, inputs: int, outputs: int) -> Iterator[Tensor]:
    yield from linear_tensors(name, inputs=inputs, outputs=outputs, role=FEED_FORWARD, split=None)


def _layer(block: MixedBlock) -> Layer:
    mixer = block.mixer
    conv_values = 0 if mixer is None else mixer.conv_values
    state_values = 0 if mixer is None else mixer.state_values
    attention = block.attention
    if attention is None:
        return Layer(
            kind="none" if mixer is None else "recurrent",
            conv_values=conv_values,
            state_values=state_values,
        )
    if block.is_cross:
        return Layer(kind="none")
    flops = 2.0 * attention.heads * (attention.head_dim + attention.value_dim)
    return Layer(
        kind=_kind(block),
        token_values=attention.key_size + attention.value_size,
        window=attention.window if block.chunk is None else block.chunk,
        shares_cache=block.shares_cache,
        conv_values=conv_values,
        state_values=state_values,
        attention_flops=flops,
        cache_heads=attention.kv_heads,
    )


def _kind(block: MixedBlock) -> LayerKind:
    if block.chunk is not None:
        return "chunk"
    has_window = block.attention is not None and block.attention.window is not None
    return "window" if has_window else "full"


def _gguf_shape(model: MixedModel) -> GgufShape:
    attentions = [block.attention for block in model.blocks if block.attention is not None]
    networks = [each for block in model.blocks for each in (block.network, block.experts)]
    counts = [each.count for each in networks if isinstance(each, Experts | UngatedExperts)]
    return GgufShape(
        layers=len(model.blocks),
        gqa=attentions[0].heads // attentions[0].kv_heads if attentions else 1,
        experts=counts[0] if counts else 0,
        is_tied=model.is_tied,
    )
