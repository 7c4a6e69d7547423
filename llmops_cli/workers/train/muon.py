"""Muon: steps of orthogonal matrices (https://kellerjordan.github.io/posts/muon/).

What is orthogonal is a whole matrix, so the parts of one that is spread over ranks are gathered for
each step; momentum stays in parts.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from train.layout import own_slices, whole

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration; those of the reference, commit f90a42b of KellerJordan/Muon."""
ITERATIONS = 5
EPSILON = 1e-7


class Muon(Optimizer):
    """`spread` has for each parameter (a rank's part) the tensor that it is a part of.

    dtype: that of the iteration. bf16 is the reference's; f32 makes one process and many the same.
    """

    def __init__(
        self,
        parameters: list[Parameter],
        spread: list[Tensor],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)
        self._spread = dict(zip(parameters, spread, strict=True))
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        del closure
        for group in self.param_groups:
            for parameter in group["params"]:
                self._update(parameter, group)

    def _update(self, parameter: Parameter, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        if gradient is None:
            return
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer = state["momentum_buffer"]
        buffer.lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(buffer, group["momentum"])
        like = self._spread[parameter]
        matrix_RC = orthogonal(whole(direction, like), self._dtype)
        rows, columns = matrix_RC.shape
        rate = group["lr"] * max(1.0, rows / columns) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(matrix_RC[own_slices(like)], alpha=-rate)


def orthogonal(matrix_RC: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest half-orthogonal matrix, about: singular values from 0.7 to 1.2.

    Shapes: R rows, C columns.
    """
    a, b, c = COEFFICIENTS
    x = matrix_RC.to(dtype)
    is_tall = matrix_RC.shape[0] > matrix_RC.shape[1]
    if is_tall:
        x = x.T
    x = x / x.norm().clamp(min=EPSILON)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.addmm(x, polynomial, x, beta=a)
    if is_tall:
        x = x.T
    return x.to(matrix_RC.dtype)
