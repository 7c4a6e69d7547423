"""The norm of all gradients, whatever they are spread over."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed

from train.layout import copies, is_spread, local_part

EPSILON = 1e-6
"""That of torch.nn.utils.clip_grad_norm_."""


@torch.no_grad()
def global_norm(gradients: Sequence[Tensor]) -> float:
    """Each element counts once, on however many ranks it lies."""
    squares = squared_norms([local_part(gradient) for gradient in gradients])
    shares = [1.0 / copies(gradient) for gradient in gradients]
    weights = torch.tensor(shares, dtype=torch.float64, device=squares.device)
    if not any(is_spread(gradient) for gradient in gradients):
        return float(squares.sum().sqrt())
    total = (squares * weights).sum()
    distributed.all_reduce(total)
    return float(total.sqrt())


def squared_norms(tensors: Sequence[Tensor]) -> Tensor:
    """One f64 each; a sum of squares of f32 loses what a norm of millions needs."""
    norms = torch._foreach_norm(list(tensors))  # noqa: SLF001  torch's own clipping uses it
    return torch.stack(norms).double().square()


@torch.no_grad()
def scale(gradients: Sequence[Tensor], factor: float) -> None:
    torch._foreach_mul_([local_part(gradient) for gradient in gradients], factor)


def clip_factor(norm: float, most: float) -> float:
    """What makes `norm` at most `most` by multiplication; 1 for a `most` of 0."""
    if most <= 0:
        return 1.0
    return min(1.0, most / (norm + EPSILON))
