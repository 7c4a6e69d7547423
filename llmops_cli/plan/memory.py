"""What of a card's memory is left for the cache, by the engine's own rule."""

from __future__ import annotations

import math

import msgspec

from llmops_cli.sizing.cache_rules import EXACT, CacheRules
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.placement import Placement, allocated_card_bytes, stages_of

GIB = 2**30
CONTEXT_BYTES = 0.5 * GIB
"""A CUDA context with its libraries, 300-600 MiB (sizing.devices)."""
GRAPHS_BYTES = 0.5 * GIB
"""vLLM's CUDA graphs, by model and sizes captured 0.2-1.5 GiB (vllm#53013)."""
BATCHED_TOKENS = 2048
"""Of one step: vLLM's profile run holds activations of so many."""
HIDDEN_COPIES = 11
"""Hidden states that a block's widest moment holds: its input, projections and gated products."""
MICRO_BATCH = 512
LOGIT_BYTES = 4
UNKNOWN_BYTES = 1.5 * GIB
"""Either way: what activations, graphs and buffers can differ by."""


RULES = {
    "llamacpp": CacheRules(allocator="llamacpp", micro_batch_tokens=MICRO_BATCH),
    "vllm": CacheRules(allocator="vllm", batched_tokens=BATCHED_TOKENS),
}
"""How engines allocate a cache; the others have what a sequence holds."""


def rules_of(engine: str) -> CacheRules:
    return RULES.get(engine, EXACT)


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of all cards together. `low` and `high`: by what the parts can differ.

    sequences: of the context asked for, that the fullest stage of each copy has a cache for.
    """

    total: float
    weights: float
    other: float
    pool: float
    pool_low: float
    pool_high: float
    sequences: float
    sequences_low: float
    sequences_high: float
    formula: str


def room(
    load: ServingLoad,
    place: Placement,
    *,
    engine: str,
    memory_share: float,
    context: int,
) -> Room:
    """`memory_share`: of each card, what the engine may use; `context`: tokens of a sequence."""
    card = place.device.memory_bytes * memory_share
    other = card_other_bytes(load, place, engine=engine)
    unknown = min(UNKNOWN_BYTES, 0.8 * other)
    unknown += load.spread * load.weights_bytes / (place.tensor * place.pipeline)
    stages = stages_of(load, place)
    each = allocated_card_bytes(load, place, context, rules_of(engine))

    def pool(more: float) -> float:
        left = [max(0.0, card - stage.weights_bytes - other + more) for stage in stages]
        return sum(left) * place.tensor * place.data

    def sequences(more: float) -> float:
        if each == 0:
            return math.inf
        held = []
        for stage in stages:
            left = max(0.0, card - stage.weights_bytes - other + more)
            held.append(left // (each * stage.layer_share))
        return min(held) * place.data

    weights = sum(stage.weights_bytes for stage in stages) * place.tensor * place.data
    return Room(
        total=card * place.devices,
        weights=weights,
        other=other * place.devices,
        pool=pool(0),
        pool_low=pool(-unknown),
        pool_high=pool(unknown),
        sequences=sequences(0),
        sequences_low=sequences(-unknown),
        sequences_high=sequences(unknown),
        formula=(
            f"{place.devices} x memory x {memory_share:g} - {weights / GIB:,.2f} GiB of weights "
            f"- {other * place.devices / GIB:.2f} GiB of activations, graphs and framework"
        ),
    )


def card_other_bytes(load: ServingLoad, place: Placement, *, engine: str) -> float:
    """Activations, graphs and the framework of one card."""
    if place.device.is_cpu:
        return place.device.framework_bytes(1)
    if engine == "llamacpp":
        return CONTEXT_BYTES + MICRO_BATCH * _row_bytes(load) / place.devices
    activations = BATCHED_TOKENS * load.hidden_size * HIDDEN_COPIES * 2 / place.tensor
    graphs = GRAPHS_BYTES if engine in {"vllm", "sglang"} else 0.0
    return CONTEXT_BYTES + activations + graphs


def _row_bytes(load: ServingLoad) -> float:
    """One row of llama.cpp's compute buffer: logits of the largest usual vocabulary."""
    return 128_000 * LOGIT_BYTES + load.hidden_size * HIDDEN_COPIES * LOGIT_BYTES
