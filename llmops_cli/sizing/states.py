"""Weights, gradients and optimizer state of one device, and what of them lies in main memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.optimizers import state_of
from llmops_cli.sizing.parameters import Tensor
from llmops_cli.sizing.work import Numbers, Work

F32 = 4


class ModelStates(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on the device, and `host` beside it. A moving average counts with the optimizer."""

    weights: float
    gradients: float
    optimizer: float
    host: float = 0.0


def local_shape(tensor: Tensor, layout: Layout) -> tuple[int, ...]:
    """The largest piece of a device: split by the tensor group, then by rows over the shards.

    FSDP2 gives each rank the same number of rows, padded (torch's `_FSDPParam`).
    """
    shape = tensor.split_shape(layout.tensor)
    ways = layout.shards * layout.context
    rows = -(-shape[0] // ways)
    return (rows, *shape[1:])


def model_states(
    tensors: Sequence[Tensor],
    work: Work,
    layout: Layout,
    numbers: Numbers,
    *,
    on_cpu: bool = False,
) -> ModelStates:
    if layout.zero:
        return _zero_states(tensors, work, layout, on_cpu=on_cpu)
    state = state_of(work.optimizer)
    elements = 0
    optimizer = 0.0
    for tensor in tensors:
        shape = local_shape(tensor, layout)
        elements += math.prod(shape)
        optimizer += state(tensor, shape, numbers.weight)
    weights = float(elements * numbers.weight)
    gradients = float(elements * numbers.gradient)
    if work.has_ema:
        optimizer += elements * numbers.weight
    return _offloaded(weights, gradients, optimizer, layout, on_cpu=on_cpu)


def _offloaded(
    weights: float,
    gradients: float,
    optimizer: float,
    layout: Layout,
    *,
    on_cpu: bool,
) -> ModelStates:
    """`optimizer`: it is updated in main memory, beside copies of what it updates there.

    `parameters`: weights and gradients come only for the block that is computed. A processor has
    nowhere else to put them.
    """
    if on_cpu and layout.offload == "optimizer":
        optimizer += weights
    if on_cpu or layout.offload == "none":
        return ModelStates(weights=weights, gradients=gradients, optimizer=optimizer)
    if layout.offload == "optimizer":
        host = optimizer + weights + gradients
        return ModelStates(weights=weights, gradients=gradients, optimizer=0.0, host=host)
    host = weights + gradients + optimizer
    return ModelStates(weights=0.0, gradients=0.0, optimizer=0.0, host=host)


def _zero_states(
    tensors: Sequence[Tensor],
    work: Work,
    layout: Layout,
    *,
    on_cpu: bool,
) -> ModelStates:
    """DeepSpeed's stages: 1 shards the optimizer, 2 gradients too, 3 weights too.

    Weights are f32, and computed by autocast; the optimizer has its part of them once more, flat,
    unless that is the part itself, as with stage 3 (arXiv:1910.02054, section 5, whose weights and
    gradients have 16 bits).
    """
    elements = sum(tensor.elements for tensor in tensors)
    ways = layout.replicas
    state = state_of(work.optimizer)
    moments = sum(state(tensor, tensor.shape, F32) for tensor in tensors)
    whole = float(elements * F32)
    optimizer = moments / ways
    is_moved = layout.offload != "none" and not on_cpu
    if layout.zero < 3 or is_moved:
        optimizer += whole / ways
    weights = whole / ways if layout.zero == 3 else whole
    gradients = whole if layout.zero == 1 else whole / ways
    if on_cpu or layout.offload == "none":
        return ModelStates(weights=weights, gradients=gradients, optimizer=optimizer)
    host = optimizer + whole / ways
    if layout.offload == "parameters":
        host += weights
        weights = 0.0
    return ModelStates(weights=weights, gradients=gradients, optimizer=0.0, host=host)
