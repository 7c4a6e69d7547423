"""From gradients to weights, the same for every strategy that has an optimizer of ours."""

from typing import Any

import torch
from torch import distributed

from train.averages import Average
from train.norms import clip_factor, scale
from train.optimizers import Optimizers
from train.precision import LossScale
from train.settings import Settings
from train.strategies.strategy import Share


class Updates:
    """The optimizer with the scale of fp16's losses and the average of the weights."""

    def __init__(self, model: Any, settings: Settings) -> None:
        self.optimizers = Optimizers(model, settings)
        self.loss_scale = LossScale.of(settings.precision)
        self.average = Average.of(self.optimizers.pieces, settings.ema_decay)

    def clip(self, scaled_norm: float, *, most: float) -> float:
        """The norm of the gradients, which are then at most `most` long.

        `scaled_norm`: over all ranks, of gradients of losses that are scaled.
        """
        norm = scaled_norm / self.loss_scale.value
        self.loss_scale.observe(norm)
        factor = clip_factor(norm, most) / self.loss_scale.value
        if factor != 1 and not self.loss_scale.overflowed:
            scale(self.optimizers.gradients(), factor)
        return norm

    def update(self, factor: float) -> None:
        if self.loss_scale.overflowed:
            self.optimizers.drop_gradients()
        else:
            self.optimizers.step(factor)
            self.average.update()
        self.loss_scale.adapt()


def sum_over(
    values: list[float],
    share: Share,
    group: distributed.ProcessGroup | None,
    device: torch.device,
) -> list[float]:
    """Over the ranks of `group`, which read different rows."""
    if share.parts == 1:
        return values
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(summed, group=group)
    return summed.tolist()
