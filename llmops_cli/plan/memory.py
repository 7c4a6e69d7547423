"""What of a card's memory is left for the cache, by the engine's own rule."""

from __future__ import annotations

import math

import msgspec

from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.speed import Placement

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


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of all cards together. `pool_low`, `pool_high`: by what the parts can differ."""

    total: float
    weights: float
    other: float
    pool: float
    pool_low: float
    pool_high: float
    formula: str


def room(
    load: ServingLoad,
    place: Placement,
    *,
    engine: str,
    memory_share: float,
) -> Room:
    """`memory_share`: of each card, what the engine may use."""
    total = place.device.memory_bytes * place.devices * memory_share
    other = other_bytes(load, place, engine=engine)
    pool = total - load.weights_bytes - other
    unknown = min(UNKNOWN_BYTES * place.devices, 0.8 * other)
    return Room(
        total=total,
        weights=load.weights_bytes,
        other=other,
        pool=max(0.0, pool),
        pool_low=max(0.0, pool - unknown),
        pool_high=max(0.0, pool + unknown),
        formula=(
            f"{place.devices} x memory x {memory_share:g} - weights "
            f"- {other / GIB:.2f} GiB of activations, graphs and framework"
        ),
    )


def other_bytes(load: ServingLoad, place: Placement, *, engine: str) -> float:
    """Activations, graphs and the framework, of all cards."""
    if place.device.is_cpu:
        return place.device.framework_bytes(1)
    context = CONTEXT_BYTES * place.devices
    if engine == "llamacpp":
        return context + MICRO_BATCH * _row_bytes(load)
    activations = BATCHED_TOKENS * load.hidden_size * HIDDEN_COPIES * 2
    graphs = GRAPHS_BYTES * place.devices if engine in {"vllm", "sglang"} else 0.0
    return context + activations + graphs


def _row_bytes(load: ServingLoad) -> float:
    """One row of llama.cpp's compute buffer: logits of the largest usual vocabulary."""
    return 128_000 * LOGIT_BYTES + load.hidden_size * HIDDEN_COPIES * LOGIT_BYTES


def cards_needed(
    load: ServingLoad,
    gpu_bytes: float,
    *,
    cache_bytes: float,
    memory_share: float,
) -> int:
    """The least power of two that holds weights, cache and 2 GiB on each."""
    each = gpu_bytes * memory_share - 2 * GIB
    if each <= 0:
        return 1
    needed = (load.weights_bytes + cache_bytes) / each
    return 1 << max(0, math.ceil(math.log2(max(needed, 1))))
