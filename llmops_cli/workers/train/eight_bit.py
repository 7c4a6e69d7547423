"""AdamW whose moments take a byte an element (arXiv:2110.02861).

A moment is a code of a fixed table times its block's largest magnitude. Blocks lie along rows, so
a matrix whose rows are spread over ranks has the same ones as a whole one. Vectors keep f32.

Shapes: R rows (all dimensions but the last), C columns, N blocks of a row.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

BLOCK = 256
"""Elements that share a scale: those of the paper's reference for moments."""
DECADES = 7
EPSILON = 1e-8
FIRST = "exp_avg"
SECOND = "exp_avg_sq"
CODES = "codes"
SCALES = "scales"
BY_ROWS = frozenset({f"{FIRST}_{SCALES}", f"{SECOND}_{SCALES}"})
"""State that has a parameter's rows, and blocks in place of its columns."""


def dynamic_table(*, is_signed: bool) -> Tensor:
    """256 numbers from -1 or 0 to 1, each decade with twice as many as the one below it.

    Source: arXiv:2110.02861, section 2.2; bitsandbytes' create_dynamic_map.
    """
    numbers = [0.0, 1.0]
    for decade in range(DECADES):
        count = 2**decade if is_signed else 2 ** (decade + 1)
        bounds = torch.linspace(0.1, 1.0, count + 1, dtype=torch.float64)
        means = (bounds[:-1] + bounds[1:]) / 2
        scaled = (means * 10.0 ** (decade + 1 - DECADES)).tolist()
        numbers += scaled
        if is_signed:
            numbers += [-number for number in scaled]
    return torch.tensor(sorted(numbers), dtype=torch.float32)


class Table:
    """Codes of a byte for magnitudes in blocks."""

    def __init__(self, *, is_signed: bool) -> None:
        self._numbers = dynamic_table(is_signed=is_signed)
        self._between = (self._numbers[:-1] + self._numbers[1:]) / 2
        self._zero = int(self._numbers.abs().argmin())

    def zeros(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and scales of a tensor of zeros."""
        codes_RC = torch.full_like(like, self._zero, dtype=torch.uint8)
        blocks = -(-like.shape[-1] // BLOCK)
        scales_RN = like.new_zeros((*like.shape[:-1], blocks), dtype=torch.float32)
        return codes_RC, scales_RN

    def read(self, codes_RC: Tensor, scales_RN: Tensor) -> Tensor:
        self._move_to(codes_RC.device)
        values_RC = self._numbers[codes_RC.int()]
        return values_RC.mul_(_along_rows(scales_RN, codes_RC.shape[-1]))

    def write(self, values_RC: Tensor, codes_RC: Tensor, scales_RN: Tensor) -> None:
        """Into codes and scales; a block of zeros has scale 0."""
        columns = values_RC.shape[-1]
        short = scales_RN.shape[-1] * BLOCK - columns
        padded_RC = torch.nn.functional.pad(values_RC, (0, short))
        blocks_RNB = padded_RC.reshape(*scales_RN.shape, BLOCK)
        scales_RN.copy_(blocks_RNB.abs().amax(dim=-1))
        least = torch.finfo(torch.float32).tiny
        shares_RC = values_RC / _along_rows(scales_RN.clamp(min=least), columns)
        self._move_to(values_RC.device)
        codes_RC.copy_(torch.bucketize(shares_RC, self._between))

    def _move_to(self, device: torch.device) -> None:
        self._numbers = self._numbers.to(device)
        self._between = self._between.to(device)


def _along_rows(scales_RN: Tensor, columns: int) -> Tensor:
    return scales_RN.repeat_interleave(BLOCK, dim=-1)[..., :columns]


class AdamW8bit(Optimizer):
    """torch's AdamW, with what it keeps of matrices rounded to a byte behind each step."""

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": 0.0})
        self._tables = {FIRST: Table(is_signed=True), SECOND: Table(is_signed=False)}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        del closure
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Parameter, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(self._first_state(parameter))
        state["step"] += 1
        gradient = parameter.grad
        assert gradient is not None
        beta1, beta2 = group["betas"]
        first = self._read(state, FIRST).lerp_(gradient, 1 - beta1)
        second = self._read(state, SECOND).mul_(beta2)
        second.addcmul_(gradient, gradient, value=1 - beta2)
        self._write(state, FIRST, first)
        self._write(state, SECOND, second)
        steps = float(state["step"])
        rate = group["lr"] / (1 - beta1**steps)
        spread = second.sqrt().div_((1 - beta2**steps) ** 0.5).add_(EPSILON)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(first, spread, value=-rate)

    def _first_state(self, parameter: Parameter) -> dict[str, Tensor]:
        state = {"step": torch.zeros((), dtype=torch.float32)}
        for name, table in self._tables.items():
            if parameter.ndim < 2:
                state[name] = torch.zeros_like(parameter)
                continue
            codes, scales = table.zeros(parameter)
            state[f"{name}_{CODES}"] = codes
            state[f"{name}_{SCALES}"] = scales
        return state

    def _read(self, state: dict[str, Tensor], name: str) -> Tensor:
        """A vector's own, a matrix's as a copy."""
        if name in state:
            return state[name]
        table = self._tables[name]
        return table.read(state[f"{name}_{CODES}"], state[f"{name}_{SCALES}"])

    def _write(self, state: dict[str, Tensor], name: str, values: Tensor) -> None:
        if name not in state:
            table = self._tables[name]
            table.write(values, state[f"{name}_{CODES}"], state[f"{name}_{SCALES}"])
