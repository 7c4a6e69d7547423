"""How fast a model is served: one decoding step, a prompt, several devices, drafts.

A step takes what its bytes take at the bandwidth that is reached, what unpacking weights and
products take, and a fixed time for each layer. The ceiling is the bytes at the full bandwidth.
"""

from __future__ import annotations

import math

import msgspec

from llmops_cli.sizing.gpus import Gpu
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.placement import (
    HOST_BYTES_PER_S,
    Placement,
    card_cache_bytes,
    head_share,
    host_weights,
)

ACTIVATION_BYTES = 2
VOLTA = 7.0
CPU_UNPACKING = 0.2
MACHINE_CARDS = 8
"""Of one machine, as many as hang on one another at least."""
SUM_S = 8e-6
"""Of one all-reduce, whatever its size (NCCL over NVLink, nccl-tests)."""


class Efficiency(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine reaches of a device.

    bandwidth, prefill, batch: shares of the peak. start_s: each step, beside its layers; layer_s:
    each layer and step, beside its bytes; expert_layer_s: more of it where tokens are sent to
    experts. unpack_ops: of the plain units'
    f32 rate, for each weight that is not stored as a float; unpack_small_ops: of 3 bits and less.
    int8_times, packed_times: of the speed with floats, of products in 8 bits and of those with
    packed weights; int8_layer_s: each layer more where activations are cast before each product.
    queues: layers' fixed time passes while the device still works on what was sent before, so that
    the longer of both counts. cache_passes: how often the cache is gone through, each query head's
    share of it apart, before and while it is attended to; 0 for once and as it is stored.
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
    start_s: float = 0.0
    int8_times: float = 1.0
    packed_times: float = 1.0
    int8_layer_s: float = 0.0
    queues: bool = False
    cache_passes: float = 0.0


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
INT8 = "W8A8"
FLOATS = ("F16", "BF16", "F32", "FP16", "FP32", "FP8", "FP8-BLOCK", INT8)
EIGHT_BITS = ("FP8", "FP8-BLOCK")
FOUR_BITS = {"NVFP4": "FP4 products (NVFP4)"}
INT8_WORDS = "INT8 products (W8A8)"
INT8_TIMES = 2
"""Products of INT8 over those of 16 bits, on every card that has them."""
FP4_TIMES = 2
"""Products of FP4 over those of FP8 (NVIDIA Blackwell architecture, dense)."""


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
    """Seconds that no step of a copy can be shorter than: its bytes at the full bandwidth.

    Layers follow one another, so those of a pipeline add up. Experts that lie over the cards of all
    copies are met by the tokens of all of them.
    """
    cache = batch * card_cache_bytes(load, place, context)
    moved = _card_read(load, place, batch) + cache
    return moved / place.device.memory_bytes_per_s


def _card_read(load: ServingLoad, place: Placement, batch: float) -> float:
    """Weights that a card reads in one step, as if it had all layers."""
    kept = load.whole_bytes + load.key_value_bytes
    dense = load.whole_bytes + load.key_value_bytes * head_share(load.kv_heads, place.tensor)
    dense += (load.dense_bytes - kept) / place.tensor
    return dense + load.expert_bytes * _met_share(load, place, batch) / place.expert_ways


def _met_share(load: ServingLoad, place: Placement, batch: float) -> float:
    return load.touched_share(batch if place.expert == 1 else batch * place.data)


def step_s(
    load: ServingLoad,
    place: Placement,
    efficiency: Efficiency,
    *,
    batch: float = 1,
    context: float = 0,
) -> float:
    """One decoding step of so many sequences of one copy, each with `context` tokens before it."""
    fixed_s = efficiency.start_s + load.layers * layer_s(load, efficiency)
    read_s = ceiling_s(load, place, batch=batch, context=context) / efficiency.bandwidth
    unpacked = load.dense_weights / place.tensor
    unpacked += load.expert_weights * _met_share(load, place, batch) / place.expert_ways
    unpacked_s = unpack_ops(load.scheme, efficiency, place.gpu) * unpacked / place.gpu.f32_flops
    share = efficiency.batch if batch <= 8 else efficiency.batch_large
    share *= _times(load, efficiency)
    products_s = (batch - 1) * token_flops(load, context) / (peak_flops(load, place) * share)
    spilled = host_share(load, place)
    if spilled:
        read_s = read_s * (1 - spilled) + load.read_bytes(batch) * spilled / host_speed(place)
    read_s += _spread_s(load, place, efficiency, batch=batch, context=context)
    work_s = read_s + unpacked_s + products_s
    sums_s = sum_s(load, place, tokens=batch)
    if efficiency.queues:
        return max(fixed_s, work_s) + sums_s
    return fixed_s + work_s + sums_s


def _spread_s(
    load: ServingLoad,
    place: Placement,
    efficiency: Efficiency,
    *,
    batch: float,
    context: float,
) -> float:
    """What copies of the cache for each query head take beyond reading it once."""
    if not efficiency.cache_passes or not load.heads or not load.kv_heads:
        return 0.0
    copies = efficiency.cache_passes * load.heads / load.kv_heads
    cache = batch * card_cache_bytes(load, place, context)
    speed = place.device.memory_bytes_per_s * efficiency.bandwidth
    return max(0.0, copies - 1) * cache / speed


def layer_s(load: ServingLoad, efficiency: Efficiency) -> float:
    """What a layer takes beside its bytes, mean over all layers."""
    more_s = efficiency.expert_layer_s if load.expert_bytes else 0.0
    if load.scheme.upper() == INT8:
        more_s += efficiency.int8_layer_s
    return efficiency.layer_s + more_s


def _times(load: ServingLoad, efficiency: Efficiency) -> float:
    if load.scheme.upper() == INT8:
        return efficiency.int8_times
    return efficiency.packed_times if is_packed(load.scheme) else 1.0


def token_flops(load: ServingLoad, context: float) -> float:
    """Two for each weight, and attention over what is before."""
    return 2 * load.active_weights + load.attention_flops * context


def peak_flops(load: ServingLoad, place: Placement) -> float:
    """Of all cards that work on one step, in products of 8 and 4 bits where both have them."""
    return _card_peak(load.scheme.upper(), place.gpu) * place.tensor


def _card_peak(scheme: str, gpu: Gpu) -> float:
    device = gpu.device
    fp8 = device.fp8_flops
    if scheme == INT8 and gpu.has(INT8_WORDS):
        return fp8 or device.bf16_flops * INT8_TIMES
    if fp8 is None:
        return device.bf16_flops
    if scheme in {*EIGHT_BITS, INT8}:
        return fp8
    if scheme in FOUR_BITS and gpu.has(FOUR_BITS[scheme]):
        return fp8 * FP4_TIMES
    return device.bf16_flops


def sum_s(load: ServingLoad, place: Placement, *, tokens: float) -> float:
    """Two all-reduces a layer over the group (arXiv:1909.08053), one hand-over a stage."""
    row_bytes = tokens * load.hidden_size * ACTIVATION_BYTES
    total = 0.0
    if place.tensor > 1:
        ring = 2 * (place.tensor - 1) / place.tensor
        each_s = SUM_S + ring * row_bytes / _link(place, place.tensor)
        total += 2 * load.layers * each_s
    if place.pipeline > 1:
        hand_over_s = SUM_S + row_bytes / _link(place, place.tensor * place.pipeline)
        total += (place.pipeline - 1) * hand_over_s
    return total + _exchange_s(load, place, row_bytes)


def _exchange_s(load: ServingLoad, place: Placement, row_bytes: float) -> float:
    """Tokens to their experts in other copies and back (arXiv:2006.16668, section 3.2).

    Within a tensor group every card has all tokens, so there is nothing to send.
    """
    if place.expert == 1 or place.data == 1:
        return 0.0
    others = (place.data - 1) / place.data
    sent = row_bytes * min(load.active_experts, place.expert) * others / place.tensor
    each_s = SUM_S + sent / _link(place, place.tensor * place.data)
    return 2 * load.expert_layers * each_s


def _link(place: Placement, group: int) -> float:
    """Bytes a second of a card to others of its group, which may stand in several machines."""
    device = place.device
    if group <= max(device.devices_per_node, MACHINE_CARDS):
        return device.link_bytes_per_s
    return min(device.link_bytes_per_s, device.network_bytes_per_s)


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
    share *= _times(load, efficiency)
    flops = tokens * token_flops(load, tokens / 2)
    products_s = flops / (peak_flops(load, place) * share)
    pieces = 1 if chunk is None else max(1, -(-int(tokens) // chunk))
    read = _card_read(load, place, min(tokens, chunk or tokens)) * pieces
    read_s = read / (place.device.memory_bytes_per_s * efficiency.bandwidth)
    fixed_s = pieces * (efficiency.start_s + load.layers * layer_s(load, efficiency))
    work_s = max(products_s, read_s) + _sent_s(load, place, tokens)
    return work_s + fixed_s + sum_s(load, place, tokens=tokens)


def _sent_s(load: ServingLoad, place: Placement, tokens: float) -> float:
    """Weights in main memory come to the card for each piece of a prompt."""
    if place.host is None:
        return 0.0
    pieces = max(1.0, math.ceil(tokens / place.host.piece_tokens))
    return place.host.weights_bytes * pieces / place.host.sent_bytes_per_s


def speculated_s(seconds: float, speculation: Speculation, *, load_factor: float) -> float:
    """Seconds a token with drafts.

    `load_factor`: how much longer a step is that checks all drafts: near 1 for one stream, near
    drafts + 1 where products bind, and then drafts cost more than they save.
    """
    step = seconds * (load_factor + speculation.tokens * speculation.draft_cost)
    return step / speculation.tokens_per_step


def host_share(load: ServingLoad, place: Placement) -> float:
    return host_weights(load, place) / load.weights_bytes


def host_speed(place: Placement) -> float:
    return HOST_BYTES_PER_S if place.host is None else place.host.bytes_per_s
