"""What an optimizer keeps for each parameter, and what it needs while it updates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from llmops_cli.core.errors import unknown_name
from llmops_cli.sizing.parameters import EMBEDDING, HEAD, Tensor

F32 = 4
STEP_BYTES = 4
"""torch keeps a tensor with one number, the count of steps, for each parameter."""
EIGHT_BIT_BLOCK = 256
"""Elements of a row that have one scale."""

Shape = tuple[int, ...]
StateOf = Callable[[Tensor, Shape, int], float]
"""A parameter, the shape of what this device holds of it, and the bytes of its elements: torch's
optimizers keep their state in the parameter's own format.
"""


def _adamw(tensor: Tensor, shape: Shape, each: int) -> float:
    """Two moments (arXiv:1711.05101)."""
    return 2 * each * math.prod(shape) + STEP_BYTES


def _muon(tensor: Tensor, shape: Shape, each: int) -> float:
    """One momentum for matrices inside blocks; AdamW keeps the rest."""
    if tensor.is_matrix and tensor.role not in {EMBEDDING, HEAD}:
        return each * math.prod(shape)
    return _adamw(tensor, shape, each)


def _adafactor(tensor: Tensor, shape: Shape, each: int) -> float:
    """A row and a column of second moments for a matrix, all of them else (arXiv:1804.04235).

    Each device keeps those of the whole tensor, whatever part of it is its own.
    """
    if not tensor.is_matrix:
        return each * tensor.elements + STEP_BYTES
    rows, columns = tensor.shape[-2:]
    matrices = math.prod(tensor.shape[:-2])
    return each * matrices * (rows + columns) + STEP_BYTES


def _eight_bit(tensor: Tensor, shape: Shape, each: int) -> float:
    """Of a matrix two moments of a byte, and a scale for each block (arXiv:2110.02861)."""
    if len(shape) < 2:
        return _adamw(tensor, shape, F32)
    blocks = math.prod(shape[:-1]) * math.ceil(shape[-1] / EIGHT_BIT_BLOCK)
    return 2 * math.prod(shape) + 2 * F32 * blocks + STEP_BYTES


def _sgd(tensor: Tensor, shape: Shape, each: int) -> float:
    return 0.0


STATES: dict[str, StateOf] = {
    "adamw": _adamw,
    "muon": _muon,
    "adafactor": _adafactor,
    "adamw8bit": _eight_bit,
    "sgd": _sgd,
}
ALIASES = {"adamw-8bit": "adamw8bit", "adamw_8bit": "adamw8bit"}


def state_of(name: str) -> StateOf:
    """Raises: UsageError for an optimizer that sizing does not know."""
    name = ALIASES.get(name, name)
    if name not in STATES:
        raise unknown_name("optimizer", name, STATES)
    return STATES[name]


def update_workspace_bytes(name: str, tensors: Sequence[Tensor]) -> float:
    """What stands only while parameters change.

    A fused AdamW needs nothing. Muon and Adafactor go tensor by tensor, each whole: Muon has the
    direction in f32 and four matrices of its iteration, Adafactor the gradient, its square, the
    variance and the update.
    """
    name = ALIASES.get(name, name)
    largest = max((each.elements for each in tensors if each.is_matrix), default=0)
    if name in {"muon", "adafactor"}:
        return 4.0 * F32 * largest
    return 0.0
