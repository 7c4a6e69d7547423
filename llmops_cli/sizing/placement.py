"""Where the parts of a model lie: cards of one kind, and main memory for what they cannot hold.

tensor: cards that share each layer; pipeline: stages of layers; data: copies of all that; expert:
cards over which whole experts lie, of all copies together (1: each copy splits its own as it does
other matrices). Placement of layers is vLLM's, of heads Megatron's (arXiv:1909.08053).
"""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.cache_rules import CacheRules
from llmops_cli.sizing.devices import Device
from llmops_cli.sizing.gpus import Gpu
from llmops_cli.sizing.load import ServingLoad

FREE_SHARE = 0.88
"""Of a card's memory, what is left for weights beside context, buffers and a desktop."""
HOST_BYTES_PER_S = 35e9
"""Main memory of a desktop as llama.cpp reads it, for layers that do not fit the card."""
PCIE_BYTES_PER_S = 25e9
"""PCIe 4 as it is reached, a card (sizing.links)."""


class HostPart(msgspec.Struct, frozen=True, kw_only=True):
    """Weights in main memory and how fast a step has them.

    `piece_tokens`: of a prompt, for so many they are sent to a card once.
    """

    weights_bytes: float
    bytes_per_s: float
    sent_bytes_per_s: float
    piece_tokens: int


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A model on `tensor` x `pipeline` x `data` cards. `host`: None where nobody has told."""

    gpu: Gpu
    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1
    host: HostPart | None = None

    @property
    def devices(self) -> int:
        return self.tensor * self.pipeline * self.data

    @property
    def device(self) -> Device:
        return self.gpu.device

    @property
    def expert_ways(self) -> int:
        """Cards that share the experts of one layer."""
        return self.tensor if self.expert == 1 else self.tensor * self.data

    @property
    def in_words(self) -> str:
        degrees = {"TP": self.tensor, "PP": self.pipeline, "DP": self.data, "EP": self.expert}
        named = [f"{name} {degree}" for name, degree in degrees.items() if degree > 1]
        return " x ".join(named) or "1 card"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What one card of a stage of a pipeline holds; its share of the layers."""

    weights_bytes: float
    layer_share: float


def stage_layers(layers: int, stages: int) -> tuple[int, ...]:
    """What does not divide goes to the stages before the last (vLLM's get_pp_indices)."""
    counts = [layers // stages] * stages
    for index in range(2, layers % stages + 2):
        counts[-index] += 1
    return tuple(counts)


def stages_of(load: ServingLoad, place: Placement) -> tuple[Stage, ...]:
    """The first has the table of embeddings, the last the head."""
    ways = place.tensor
    host = 0.0 if place.host is None else place.host.weights_bytes / place.devices
    inner = load.weights_bytes - load.whole_bytes - load.table_bytes - load.head_bytes
    inner -= load.expert_bytes + load.key_value_bytes
    each = inner / ways + load.whole_bytes + load.key_value_bytes * head_share(load.kv_heads, ways)
    each += load.expert_bytes * expert_share(load, place)
    counts = stage_layers(load.layers, place.pipeline)
    found = []
    for number, count in enumerate(counts):
        share = count / load.layers
        held = each * share
        if number == 0:
            held += load.table_bytes / ways
        if number == len(counts) - 1:
            held += load.head_bytes / ways
            held += load.table_bytes / ways if load.is_tied and number > 0 else 0.0
        found.append(Stage(weights_bytes=max(0.0, held - host), layer_share=share))
    return tuple(found)


def head_share(heads: int | None, ways: int) -> float:
    """Of all heads, those on the fullest card: fewer heads than cards are copied."""
    if heads is None:
        return 1 / ways
    return -(-heads // ways) / heads


def expert_share(load: ServingLoad, place: Placement) -> float:
    """Of a layer's experts, what the fullest card has: whole ones, and of those a part."""
    whole = -(-load.experts // place.expert) / load.experts
    return whole * place.expert / place.expert_ways


def card_cache_bytes(load: ServingLoad, place: Placement, tokens: float) -> float:
    """Of one sequence on one card that has all layers; states are split by heads."""
    total = load.state_bytes / place.tensor
    for part in load.cache:
        total += part.size_bytes(tokens) * head_share(part.heads, place.tensor)
    return total


def allocated_card_bytes(
    load: ServingLoad,
    place: Placement,
    tokens: int,
    rules: CacheRules,
) -> float:
    """What an engine sets aside for one sequence on one card that has all layers."""
    total = load.state_bytes / place.tensor
    for part in load.allocated_parts(rules):
        total += part.allocated_bytes(tokens, rules) * head_share(part.heads, place.tensor)
    return total


def host_weights(load: ServingLoad, place: Placement) -> float:
    """Bytes of weights in main memory; where nobody told, what the cards cannot hold."""
    if place.host is not None:
        return place.host.weights_bytes
    room = place.device.memory_bytes * place.devices * FREE_SHARE
    return max(0.0, load.weights_bytes - room)


def is_spilled(load: ServingLoad, place: Placement) -> bool:
    """Whether a part of the weights stays in main memory."""
    return host_weights(load, place) > 0
