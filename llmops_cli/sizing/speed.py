"""How fast a model is served: one decoding step, a prompt, several devices, drafts.

A step takes what its bytes take at the bandwidth that is reached, what unpacking weights and
products take, and a fixed time for each layer. The ceiling is the bytes at the full bandwidth.
"""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.devices import Device
from llmops_cli.sizing.gpus import Gpu
from llmops_cli.sizing.load import ServingLoad

ACTIVATION_BYTES = 2
VOLTA = 7.0
CPU_UNPACKING = 0.2
HOST_BYTES_PER_S = 35e9
"""Main memory of a desktop as llama.cpp reads it, for layers that do not fit the card."""
FREE_SHARE = 0.88
"""Of a card's memory, what is left for weights beside context, buffers and a desktop."""
SUM_S = 8e-6
"""Of one all-reduce, whatever its size (NCCL over NVLink, nccl-tests)."""


class Efficiency(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine reaches of a device.

    bandwidth, prefill, batch: shares of the peak. layer_s: each layer and step, beside its bytes;
    expert_layer_s: more of it where tokens are sent to experts. unpack_ops: of the plain units'
    f32 rate, for each weight that is not stored as a float; unpack_small_ops: of 3 bits and less.
    """

    bandwidth: float
    layer_s: float
    expert_layer_s: float
    unpack_ops: float
    unpack_small_ops: float
    prefill: float
    prefill_packed: float
    batch: float
    batch_large: float


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A model on `tensor` x `pipeline` cards of one kind."""

    gpu: Gpu
    tensor: int = 1
    pipeline: int = 1

    @property
    def devices(self) -> int:
        return self.tensor * self.pipeline

    @property
    def device(self) -> Device:
        return self.gpu.device


class Speculation(msgspec.Struct, frozen=True, kw_only=True):
    """`acceptance`: chance of each drafted token; `draft_cost`: a draft's time over a step's."""

    tokens: int
    acceptance: float
    draft_cost: float = 0.0

    @property
    def tokens_per_step(self) -> float:
        """Source: arXiv:2211.17192, equation 1."""
        if self.acceptance >= 1:
            return self.tokens + 1.0
        return float((1 - self.acceptance ** (self.tokens + 1)) / (1 - self.acceptance))


SMALL_TYPES = ("IQ1", "IQ2", "IQ3", "Q1", "Q2", "Q3", "TQ")
FLOATS = ("F16", "BF16", "F32", "FP16", "FP32", "FP8", "W8A8")


def is_packed(scheme: str) -> bool:
    """Whether weights are unpacked before each product."""
    return scheme.upper() not in FLOATS


def unpack_ops(scheme: str, efficiency: Efficiency, gpu: Gpu) -> float:
    """For each weight. Cards before Volta take twice as many for the smallest types.

    Processors multiply packed values as they are, which leaves little to unpack.
    """
    if not is_packed(scheme):
        return 0.0
    if gpu.device.is_cpu:
        return efficiency.unpack_ops * CPU_UNPACKING
    if not scheme.upper().startswith(SMALL_TYPES):
        return efficiency.unpack_ops
    capability = gpu.facts.capability
    is_old = capability is not None and capability < VOLTA
    return efficiency.unpack_small_ops * (2 if is_old else 1)


def ceiling_s(load: ServingLoad, place: Placement, *, batch: float, context: float) -> float:
    """Seconds that no step can be shorter than: its bytes at the full bandwidth."""
    moved = load.read_bytes(batch) + batch * load.cache_bytes(context)
    return moved / (place.device.memory_bytes_per_s * place.tensor)


def step_s(
    load: ServingLoad,
    place: Placement,
    efficiency: Efficiency,
    *,
    batch: float = 1,
    context: float = 0,
) -> float:
    """One decoding step of so many sequences, each with `context` tokens before it."""
    fixed_s = load.layers * layer_s(load, efficiency)
    read_s = ceiling_s(load, place, batch=batch, context=context) / efficiency.bandwidth
    ops = unpack_ops(load.scheme, efficiency, place.gpu) * load.read_weights(batch)
    unpacked_s = ops / (place.gpu.f32_flops * place.tensor)
    share = efficiency.batch if batch <= 8 else efficiency.batch_large
    products_s = (batch - 1) * token_flops(load, context) / (peak_flops(load, place) * share)
    sums_s = sum_s(load, place, tokens=batch)
    spilled_s = _spilled_s(load, place)
    if spilled_s:
        read_s *= 1 - _spilled_share(load, place)
    return fixed_s + read_s + unpacked_s + products_s + sums_s + spilled_s


def layer_s(load: ServingLoad, efficiency: Efficiency) -> float:
    """What a layer takes beside its bytes, mean over all layers."""
    more_s = efficiency.expert_layer_s if load.expert_bytes else 0.0
    return efficiency.layer_s + more_s


def token_flops(load: ServingLoad, context: float) -> float:
    """Two for each weight, and attention over what is before."""
    return 2 * load.active_weights + load.attention_flops * context


def peak_flops(load: ServingLoad, place: Placement) -> float:
    """Of all cards that work on one step; 8-bit formats use 8-bit products where there are."""
    device = place.device
    peak = device.bf16_flops
    if load.scheme.upper() in {"FP8", "W8A8"} and device.fp8_flops is not None:
        peak = device.fp8_flops
    return peak * place.tensor


def sum_s(load: ServingLoad, place: Placement, *, tokens: float) -> float:
    """Two all-reduces a layer over the group (arXiv:1909.08053), one hand-over a stage."""
    device = place.device
    row_bytes = tokens * load.hidden_size * ACTIVATION_BYTES
    total = 0.0
    if place.tensor > 1:
        ring = 2 * (place.tensor - 1) / place.tensor
        each_s = SUM_S + ring * row_bytes / device.link_bytes_per_s
        total += 2 * load.layers * each_s
    if place.pipeline > 1:
        total += (place.pipeline - 1) * (SUM_S + row_bytes / device.link_bytes_per_s)
    return total


def prefill_s(
    load: ServingLoad,
    place: Placement,
    efficiency: Efficiency,
    *,
    tokens: float,
    chunk: int | None = None,
) -> float:
    """A prompt alone, in pieces of `chunk` tokens: each piece reads all weights again."""
    share = efficiency.prefill_packed if is_packed(load.scheme) else efficiency.prefill
    flops = tokens * token_flops(load, tokens / 2)
    products_s = flops / (peak_flops(load, place) * share)
    pieces = 1 if chunk is None else max(1, -(-int(tokens) // chunk))
    read = load.read_bytes(min(tokens, chunk or tokens)) * pieces
    read_s = read / (place.device.memory_bytes_per_s * place.tensor * efficiency.bandwidth)
    fixed_s = pieces * load.layers * layer_s(load, efficiency)
    return max(products_s, read_s) + fixed_s + sum_s(load, place, tokens=tokens)


def speculated_s(seconds: float, speculation: Speculation, *, load_factor: float) -> float:
    """Seconds a token with drafts.

    `load_factor`: how much longer a step is that checks all drafts: near 1 for one stream, near
    drafts + 1 where products bind, and then drafts cost more than they save.
    """
    step = seconds * (load_factor + speculation.tokens * speculation.draft_cost)
    return step / speculation.tokens_per_step


def is_spilled(load: ServingLoad, place: Placement) -> bool:
    """Whether a part of the weights stays in main memory."""
    return _spilled_share(load, place) > 0


def _spilled_share(load: ServingLoad, place: Placement) -> float:
    room = place.device.memory_bytes * place.devices * FREE_SHARE
    return max(0.0, 1 - room / load.weights_bytes)


def _spilled_s(load: ServingLoad, place: Placement) -> float:
    """Weights that are left in main memory are read there, by the processor."""
    share = _spilled_share(load, place)
    return load.read_bytes(1) * share / HOST_BYTES_PER_S
