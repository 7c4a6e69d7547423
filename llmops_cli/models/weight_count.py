"""How many weights a folder's tensors stand for, and so how many bits each takes. Pure.

Read from shapes alone: what a folder calls itself is not asked. Shapes: O outputs, I inputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from llmops_cli.models.tensors import TensorInfo

ASIDE = (
    "scale",
    "scales",
    "weight_scale",
    "weight_scale_2",
    "weight_scale_inv",
    "weight_global_scale",
    "weight_zero_point",
    "weight_shape",
    "weight_g_idx",
    "input_scale",
    "input_zero_point",
    "input_global_scale",
    "output_scale",
    "k_scale",
    "v_scale",
    "k_zero_point",
    "v_zero_point",
    "qzeros",
    "g_idx",
    "absmax",
    "nested_absmax",
    "quant_map",
    "nested_quant_map",
    "SCB",
    "weight_format",
)
"""Last parts of names of what belongs to weights and is none itself."""
STATE = ".quant_state."
TWO_IN_A_BYTE = "U8"


def bits_per_weight(tensors: Sequence[TensorInfo]) -> float | None:
    """Bits of all tensors for each weight; None where weights are kept in a way not known here."""
    by_name = {tensor.name: tensor for tensor in tensors}
    values = 0
    for tensor in tensors:
        counted = _values(tensor, by_name)
        if counted is None:
            return None
        values += counted
    total_bytes = sum(tensor.bytes for tensor in tensors)
    return total_bytes * 8 / values if values else None


def _values(tensor: TensorInfo, by_name: Mapping[str, TensorInfo]) -> int | None:
    module, _, part = tensor.name.rpartition(".")
    if part in ASIDE or STATE in tensor.name or part.endswith("_scales"):
        return 0
    if part == "weight_packed":
        return _packed(tensor)
    if part == "qweight":
        return _matrix(tensor, by_name, module)
    plain = math.prod(tensor.shape)
    halves = part.endswith("_blocks") or f"{tensor.name}.absmax" in by_name
    if halves and tensor.dtype == TWO_IN_A_BYTE:
        return 2 * plain
    return plain if not tensor.dtype.startswith(("I32", "I64", "U8")) else None


def _packed(tensor: TensorInfo) -> int | None:
    """Of compressed-tensors, whose file keeps the shape beside them."""
    if tensor.dtype == TWO_IN_A_BYTE:
        return 2 * math.prod(tensor.shape)
    is_shape = bool(tensor.whole_shape) and min(tensor.whole_shape) > 0
    return math.prod(tensor.whole_shape) if is_shape else None


def _matrix(
    tensor: TensorInfo,
    by_name: Mapping[str, TensorInfo],
    module: str,
) -> int | None:
    """GPTQ packs inputs and lists the group of each; AWQ packs outputs, and each has scales."""
    scales_GO = by_name.get(f"{module}.scales")
    groups_I = by_name.get(f"{module}.g_idx")
    if scales_GO is None or len(scales_GO.shape) != 2 or len(tensor.shape) != 2:
        return None
    outputs = scales_GO.shape[1]
    if groups_I is not None:
        return math.prod(groups_I.shape) * outputs
    return tensor.shape[0] * outputs if tensor.shape[1] < outputs else None
