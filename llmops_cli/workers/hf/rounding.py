"""Plain rounding to few bits: the least that a quantization method should beat.

Shapes: O rows and I columns of a weight, E experts; G groups of N columns each.
"""

import copy
from typing import Any

import torch

from hf.matrices import MatrixKind, is_ignored, is_transposed, matrices_of

TINY = 1e-12
"""Keeps the scale of a group of zeros positive."""


def round_model(base: Any, how: dict[str, Any]) -> Any:
    """A copy of the model with its matrices rounded, experts too, but for ignored ones."""
    model = copy.deepcopy(base)
    for matrix in matrices_of(model):
        if is_ignored(matrix.name, how["ignore"]):
            continue
        if matrix.kind is MatrixKind.EXPERTS:
            _round_experts(model, matrix.name, how)
        else:
            weight = model.get_submodule(matrix.name).weight
            is_IO = matrix.kind is MatrixKind.CONV1D
            weight.data = _rounded_as(weight.data, how, is_IO=is_IO)
    return model


def _round_experts(model: Any, name: str, how: dict[str, Any]) -> None:
    """Without zero points: nothing loads experts that have them."""
    how = {**how, "symmetric": True}
    owner, _, _ = name.rpartition(".")
    is_EIO = is_transposed(model.get_submodule(owner))
    parameter_EOI = model.get_parameter(name)
    for expert_OI in parameter_EOI.data:
        near_OI = _rounded_as(expert_OI, how, is_IO=is_EIO)
        expert_OI.copy_(near_OI)


def _rounded_as(
    weight: torch.Tensor,
    how: dict[str, Any],
    *,
    is_IO: bool,
) -> torch.Tensor:
    """Rounded along the inputs, whichever way the matrix is kept."""
    weight_OI = weight.T if is_IO else weight
    near_OI = rounded(
        weight_OI,
        bits=how["bits"],
        group_size=how["group_size"],
        symmetric=how["symmetric"],
    )
    return near_OI.T.contiguous() if is_IO else near_OI


def rounded(
    weight_OI: torch.Tensor,
    *,
    bits: int,
    group_size: int,
    symmetric: bool,
) -> torch.Tensor:
    """The weight rounded to the nearest of 2^bits values per group of columns.

    A group is a whole row where `group_size` is not positive or does not divide the columns.
    """
    columns = weight_OI.shape[1]
    width = columns
    is_smaller = 0 < group_size <= columns
    if is_smaller and columns % group_size == 0:
        width = group_size
    levels = 2**bits
    weight_GN = weight_OI.float().reshape(-1, width)
    if symmetric:
        rounded_GN = _round_around_zero(weight_GN, levels)
    else:
        rounded_GN = _round_between_extremes(weight_GN, levels)
    rounded_OI = rounded_GN.reshape(weight_OI.shape)
    return rounded_OI.to(weight_OI.dtype)


def _round_around_zero(weight_GN: torch.Tensor, levels: int) -> torch.Tensor:
    largest_G1 = weight_GN.abs().amax(1, keepdim=True)
    half_range = (levels - 1) / 2
    scale_G1 = largest_G1.clamp(min=TINY) / half_range
    steps_GN = (weight_GN / scale_G1).round()
    lowest = -levels // 2
    highest = levels // 2 - 1
    return steps_GN.clamp(lowest, highest) * scale_G1


def _round_between_extremes(weight_GN: torch.Tensor, levels: int) -> torch.Tensor:
    """Zero stays a value of its own."""
    low_G1 = weight_GN.amin(1, keepdim=True)
    high_G1 = weight_GN.amax(1, keepdim=True)
    low_G1 = low_G1.clamp(max=0)
    high_G1 = high_G1.clamp(min=0)
    highest = levels - 1
    range_G1 = high_G1 - low_G1
    scale_G1 = range_G1.clamp(min=TINY) / highest
    zero_G1 = (-low_G1 / scale_G1).round()
    steps_GN = (weight_GN / scale_G1 + zero_G1).round()
    steps_GN = steps_GN.clamp(0, highest)
    return (steps_GN - zero_G1) * scale_G1
