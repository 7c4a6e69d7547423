"""How long a training step takes: products, attention, memory traffic, communication, bubble.

Each is counted from its cause and divided by what a device is known to reach, so the sum is a
prediction with a band, never a promise.
"""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.devices import Cluster, Device
from llmops_cli.sizing.flops import blocks_again, token_flops
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.links import communication
from llmops_cli.sizing.memory import passes
from llmops_cli.sizing.parameters import parameter_count
from llmops_cli.sizing.traffic import (
    COMPILED_SHARE,
    UPDATE,
    backward_traffic,
    forward_traffic,
    loss_traffic,
)
from llmops_cli.sizing.work import Work

BAND = 0.3
"""Either way: kernels, clocks and networks differ by so much between machines of one name."""
IN_SEQUENCE = 0.75
"""Of the best single product, what all of a model's reach one after another for hours: shapes that
leave processors idle at the end, and the power limit. From the 57 % MFU of a 7B model on A100
(PyTorch's "Maximizing training throughput using FSDP", 2024); used for every card.
"""
EAGER_SHARE = 0.1
"""Attention that writes its T x T matrix is bound by memory (arXiv:2205.14135, figure 1)."""
FLASH_BACKWARD = 2.5
"""Five products for the two of the forward pass."""
TRAFFIC_SHARE = 0.85
"""Of the memory bandwidth, what streaming kernels reach."""
FLOAT8_SHARE = 0.7
"""Of the 8-bit peak: operands are scaled and cast first (arXiv:2209.05433)."""
OVERLAP = 0.8
"""Of computation, how much can hide communication: the first gather and the last sum can't."""
KERNEL_S = 6e-6
KERNELS_PER_BLOCK = 130
"""An eager block, forward and backward; the host starts them one after another."""
GATHER_COPIES = 14
"""Bytes for each weight and pass: FSDP copies what it gathers twice, and gradients once."""


class StepTime(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of one step on the critical path, and what they mean."""

    products_s: float
    attention_s: float
    traffic_s: float
    update_s: float
    communication_s: float
    bubble_s: float
    tokens: float
    model_flops: float
    devices: int
    peak_flops: float

    @property
    def total_s(self) -> float:
        compute_s = self.products_s + self.attention_s + self.traffic_s + self.update_s
        return compute_s + self.communication_s + self.bubble_s

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.total_s

    @property
    def mfu(self) -> float:
        """Model-FLOPs utilisation of the dense peak (arXiv:2204.02311, appendix B)."""
        return self.model_flops / (self.total_s * self.devices * self.peak_flops)

    @property
    def tokens_per_s_band(self) -> tuple[float, float]:
        return self.tokens_per_s * (1 - BAND), self.tokens_per_s * (1 + BAND)


def step_time(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    cluster: Cluster,
) -> StepTime:
    device = cluster.device
    each = token_flops(architecture, work.sequence_length)
    tokens = float(work.batch_size * work.sequence_length)
    own = tokens / layout.devices
    products_s = own * _product_s(architecture, work, device)
    attention_s = own * _attention_s(architecture, work, device)
    traffic_s = own * _traffic_s(architecture, work, layout, device)
    traffic_s += _copies_s(architecture, work, layout, device)
    compute_s = _at_least_launches(architecture, work, layout, device, products_s, attention_s)
    traffic_s = max(traffic_s, compute_s - products_s - attention_s)
    computed_s = products_s + attention_s + traffic_s
    sent = communication(architecture, work, layout, cluster)
    hidden_s = max(0.0, sent.hideable_s - OVERLAP * computed_s)
    return StepTime(
        products_s=products_s,
        attention_s=attention_s,
        traffic_s=traffic_s,
        update_s=_update_s(architecture, layout, device),
        communication_s=hidden_s + sent.exposed_s,
        bubble_s=computed_s * bubble(layout),
        tokens=tokens,
        model_flops=tokens * each.model,
        devices=layout.devices,
        peak_flops=peak_flops(device, work.precision),
    )


def bubble(layout: Layout) -> float:
    """Idle time of a pipeline, in units of its busy time (arXiv:2104.04473, section 2.2)."""
    if layout.pipeline == 1:
        return 0.0
    return (layout.pipeline - 1) / (layout.micro_batches * layout.chunks)


def peak_flops(device: Device, precision: str) -> float:
    """Dense. f32 without tensor cores, as torch multiplies unless it is told otherwise."""
    if precision == "f32":
        return device.f32_flops or device.bf16_flops / 8
    return device.bf16_flops


def _product_s(architecture: Architecture, work: Work, device: Device) -> float:
    """Blocks forward, backward and again; the head, which no checkpoint covers."""
    each = token_flops(architecture, work.sequence_length)
    again = blocks_again(architecture, work.checkpointing)
    reached = peak_flops(device, work.precision) * device.matmul_share * IN_SEQUENCE
    blocks_reached = reached
    if work.matmul_format == "float8" and device.fp8_flops is not None:
        blocks_reached = device.fp8_flops * device.matmul_share * IN_SEQUENCE * FLOAT8_SHARE
    return each.blocks * (3 + again) / blocks_reached + each.head * 3 / reached


def _attention_s(architecture: Architecture, work: Work, device: Device) -> float:
    each = token_flops(architecture, work.sequence_length)
    times = 1 + FLASH_BACKWARD + (1 if work.checkpointing == "full" else 0)
    peak = peak_flops(device, work.precision)
    if work.attention == "eager":
        return each.attention * times / (peak * EAGER_SHARE)
    share = device.matmul_share if device.is_cpu else device.flash_share
    return each.causal * times / (peak * share)


def _traffic_s(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    device: Device,
) -> float:
    """For a token.

    A tensor group that does not split the sequence computes norms on each device, which is left
    out: they are small beside its sums.
    """
    times = 1 if work.checkpointing == "none" else 2
    blocks = forward_traffic(architecture) * times + backward_traffic(architecture)
    total = blocks + loss_traffic(architecture)
    if work.precision == "f32":
        total *= 1.3
    if work.is_compiled:
        total *= COMPILED_SHARE
    return total / (device.memory_bytes_per_s * TRAFFIC_SHARE)


def _copies_s(architecture: Architecture, work: Work, layout: Layout, device: Device) -> float:
    if layout.shards == 1 and layout.zero != 3:
        return 0.0
    weights = parameter_count(architecture) / (layout.tensor * layout.pipeline)
    count = passes(work, layout) if layout.pipeline == 1 else 1
    return weights * GATHER_COPIES * count / (device.memory_bytes_per_s * TRAFFIC_SHARE)


def _update_s(architecture: Architecture, layout: Layout, device: Device) -> float:
    if layout.offload != "none":
        return 0.0
    ways = layout.shards * layout.tensor * layout.pipeline
    if layout.zero:
        ways *= layout.replicas
    own = parameter_count(architecture) / ways
    return own * UPDATE / (device.memory_bytes_per_s * TRAFFIC_SHARE)


def _at_least_launches(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    device: Device,
    *computed_s: float,
) -> float:
    """A small model waits for the host that starts its kernels."""
    if device.is_cpu:
        return sum(computed_s)
    blocks = len(architecture.blocks) / layout.pipeline
    times = 1.3 if work.checkpointing != "none" else 1.0
    share = COMPILED_SHARE if work.is_compiled else 1.0
    started = blocks * KERNELS_PER_BLOCK * times * share * passes(work, layout)
    return max(sum(computed_s), started * KERNEL_S)
