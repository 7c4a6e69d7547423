"""Adafactor: second moments as rows and columns (arXiv:1804.04235, algorithm 4).

The arithmetic is that of torch.optim.Adafactor. Rows, columns and root mean squares are those of
whole tensors, so the parts of one that is spread over ranks are gathered for each step.

Shapes: R rows, C columns.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from train.layout import own_slices, whole

BETA2_DECAY = -0.8
LEAST_SCALE = 1e-3
"""The least root mean square that a tensor's step is relative to (epsilon 2 of the paper)."""


class Adafactor(Optimizer):
    """`spread` has for each parameter (a rank's part) the tensor that it is a part of."""

    def __init__(
        self,
        groups: list[dict[str, Any]],
        spread: dict[Parameter, Parameter],
        *,
        lr: float,
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        self._spread = spread

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        del closure
        for group in self.param_groups:
            for parameter in group["params"]:
                self._update(parameter, group)

    def _update(self, parameter: Parameter, group: dict[str, Any]) -> None:
        if parameter.grad is None:
            return
        like = self._spread[parameter]
        gradient = whole(parameter.grad, like)
        state = self.state[parameter]
        if not state:
            state.update(_first_state(gradient))
        state["step"] += 1
        step = float(state["step"])
        variance = _variance(state, gradient, share=step**BETA2_DECAY)
        least = torch.finfo(gradient.dtype).eps
        update = gradient * variance.clamp(min=least**2).rsqrt()
        relative = max(LEAST_SCALE, _root_mean_square(whole(parameter, like)))
        rate = min(group["lr"], step**-0.5) * relative
        rate /= max(1.0, _root_mean_square(update))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update[own_slices(like)], alpha=-rate)


def _first_state(gradient: Tensor) -> dict[str, Tensor]:
    step = torch.zeros((), dtype=torch.float32)
    if gradient.ndim < 2:
        return {"step": step, "variance": torch.zeros_like(gradient)}
    rows, columns = gradient.shape
    return {
        "step": step,
        "row_variance": gradient.new_zeros(rows, 1),
        "column_variance": gradient.new_zeros(1, columns),
    }


def _variance(state: dict[str, Tensor], gradient: Tensor, *, share: float) -> Tensor:
    """The running second moment; `share` of it is this gradient's."""
    square = gradient.square()
    if gradient.ndim < 2:
        return state["variance"].lerp_(square, share)
    row_R1 = state["row_variance"].lerp_(square.mean(dim=1, keepdim=True), share)
    column_1C = state["column_variance"].lerp_(square.mean(dim=0, keepdim=True), share)
    least = torch.finfo(gradient.dtype).eps
    return row_R1 @ column_1C / row_R1.mean().clamp(min=least)


def _root_mean_square(tensor: Tensor) -> float:
    return float(tensor.norm() / tensor.numel() ** 0.5)
