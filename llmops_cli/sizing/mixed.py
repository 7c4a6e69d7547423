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
    gated_tensors,
    linear_tensors,
    norm_tensor,
    stacked,
)
from llmops_cli.sizing.served import Layer, ServedModel, of_tensors


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

    has_output_gate: queries come with a gate of their own size.
    """

    norms: tuple[str, ...]
    attention: Attention | None = None
    chunk: int | None = None
    has_output_gate: bool = False
    mixer: Mixer | None = None
    network: Network | None = None


class MixedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder of such layers."""

    model_type: str
    hidden_size: int
    vocab_size: int
    blocks: tuple[MixedBlock, ...]
    is_tied: bool
    max_positions: int | None = None


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
    return stacked(
        (_block_tensors(block, size) for block in model.blocks),
        words=(model.vocab_size, size),
        is_tied=model.is_tied,
    )


def _block_tensors(block: MixedBlock, size: int) -> Iterator[Tensor]:
    if block.attention is not None:
        for tensor in attention_tensors(block.attention, size):
            yield _with_gate(tensor) if block.has_output_gate else tensor
    if block.mixer is not None:
        yield from block.mixer.tensors(size, "mamba")
    yield from _network_tensors(block.network, size)
    for name in block.norms:
        yield norm_tensor(name, size)


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
    elif network is not None and network.is_gated:
        yield from gated_tensors(network, size, prefix="mlp")
    elif network is not None:
        yield from _ungated("mlp", size, network.width, bias=network.has_bias)


def _ungated(prefix: str, size: int, width: int, *, bias: bool = False) -> Iterator[Tensor]:
    yield from linear_tensors(
        f"{prefix}.up_proj",
        inputs=size,
        outputs=width,
        role=FEED_FORWARD,
        split="column",
        bias=bias,
    )
    yield from linear_tensors(
        f"{prefix}.down_proj",
        inputs=width,
        outputs=size,
        role=FEED_FORWARD,
        split="row",
        bias=bias,
    )


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
    yield from _ungated("mlp.shared_experts", size, experts.shared_width)
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
    return Layer(
        kind="full" if block.chunk is None else "chunk",
        token_values=attention.key_size + attention.value_size,
        window=block.chunk,
        conv_values=conv_values,
        state_values=state_values,
        attention_flops=2.0 * attention.heads * (attention.head_dim + attention.value_dim),
        cache_heads=attention.kv_heads,
    )


def _gguf_shape(model: MixedModel) -> GgufShape:
    attentions = [block.attention for block in model.blocks if block.attention is not None]
    counts = [
        block.network.count
        for block in model.blocks
        if isinstance(block.network, Experts | UngatedExperts)
    ]
    return GgufShape(
        layers=len(model.blocks),
        gqa=attentions[0].heads // attentions[0].kv_heads if attentions else 1,
        experts=counts[0] if counts else 0,
        is_tied=model.is_tied,
    )
