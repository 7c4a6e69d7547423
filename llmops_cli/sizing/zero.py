"""DeepSpeed's own estimate of model states under ZeRO, for those who compare with it.

It leaves out activations, and its figures are for 16-bit weights with an AdamW in f32.
Source: deepspeed/runtime/zero (estimate_zero2_model_states_mem_needs and of stage 3).
"""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import UsageError

BUFFERS = 1.5
"""What main memory needs beside the states, by DeepSpeed's `additional_buffer_factor`."""
WEIGHT = 2
LAYER = 4
"""A layer's gathered weights and its gradients."""
STATE = 16
"""Master weights, two moments and gradients, all in f32."""
F32 = 4


class ZeroEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of one device, and of main memory of one node."""

    device: float
    host: float


def zero_estimate(
    *,
    parameters: float,
    largest_layer: float,
    stage: int,
    devices: int,
    nodes: int = 1,
    offload: str = "none",
) -> ZeroEstimate:
    """`devices`: of all nodes. `offload`: none, optimizer, or parameters (and the optimizer)."""
    if stage == 2:
        return _second(parameters, devices=devices, nodes=nodes, is_offloaded=offload != "none")
    if stage != 3:
        raise UsageError(f"DeepSpeed estimates ZeRO's stages 2 and 3, not {stage}")
    gathered = LAYER * largest_layer
    if offload == "parameters":
        host = parameters * (STATE + WEIGHT) / nodes
        return ZeroEstimate(device=gathered, host=host * BUFFERS)
    if offload == "optimizer":
        device = gathered + WEIGHT * parameters / devices
        return ZeroEstimate(device=device, host=parameters * STATE / nodes * BUFFERS)
    device = gathered + (STATE + WEIGHT) * parameters / devices
    return ZeroEstimate(device=device, host=parameters * F32 * BUFFERS)


def _second(parameters: float, *, devices: int, nodes: int, is_offloaded: bool) -> ZeroEstimate:
    """Weights, and gradients of 16 bits, are whole on each device."""
    if is_offloaded:
        host = parameters * max(F32 * devices, STATE)
        return ZeroEstimate(device=WEIGHT * parameters, host=host * BUFFERS)
    device = 2 * WEIGHT * parameters + STATE * parameters / devices
    return ZeroEstimate(device=device, host=parameters * F32 * devices / nodes * BUFFERS)
