"""Learning-rate schedules: the factor of the peak rate at a step. Pure."""

import math
from collections.abc import Callable

from train.settings import Settings

Shape = Callable[[float, Settings], float]
"""Progress behind the warm-up, 0 to 1, to a factor."""


def _constant(progress: float, settings: Settings) -> float:
    del progress, settings
    return 1.0


def _linear(progress: float, settings: Settings) -> float:
    return max(settings.least_rate, 1.0 - progress)


def _cosine(progress: float, settings: Settings) -> float:
    falling = (1.0 + math.cos(math.pi * progress)) / 2
    return settings.least_rate + (1.0 - settings.least_rate) * falling


def _wsd(progress: float, settings: Settings) -> float:
    """Warm-up, stable, decay (arXiv:2404.06395): linear over the last `decay_share` of all."""
    if settings.decay_share == 0:
        return 1.0
    falling = (1.0 - progress) / settings.decay_share
    return max(settings.least_rate, min(1.0, falling))


SCHEDULES: dict[str, Shape] = {
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "wsd": _wsd,
}


def factor(step: int, settings: Settings) -> float:
    """What the peak rates are multiplied by at `step` (from 0): linear warm-up, then the shape."""
    warm_up = 1.0
    if step < settings.warmup_steps:
        warm_up = (step + 1) / settings.warmup_steps
    shape = SCHEDULES[settings.schedule]
    return warm_up * shape(step / settings.steps, settings)
