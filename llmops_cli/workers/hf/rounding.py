"""Plain rounding to few bits: the least that a quantization method should beat.

Shapes: O rows and I columns of a weight; G groups of N columns each.
"""

import copy
import re
from typing import Any

import torch

TINY = 1e-12
"""Keeps the scale of a group of zeros positive."""


def round_model(base: Any, how: dict[str, Any]) -> Any:
    """A copy of the model with the weights of its linear layers rounded, but for ignored ones."""
    model = copy.deepcopy(base)
    for name, module in model.named_modules():
        is_linear = isinstance(module, torch.nn.Linear)
        if is_linear and not is_ignored(name, how["ignore"]):
            module.weight.data = rounded(
                module.weight.data,
                bits=how["bits"],
                group_size=how["group_size"],
                symmetric=how["symmetric"],
            )
    return model


def is_ignored(module: str, ignore: list[str]) -> bool:
    """Whether one of the patterns (`re:...`) or endings names the module."""
    for pattern in ignore:
        if pattern.startswith("re:"):
            if re.search(pattern[3:], module):
                return True
        elif module.endswith(pattern):
            return True
    return False


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
