"""Training, step after step."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from _shared.protocol import JobError, Json
from train.data.batch import Batch
from train.schedules import factor
from train.settings import Settings
from train.strategies.strategy import Strategy


class Source(Protocol):
    """Samples in their order: a function of data, seed and step alone."""

    size: int
    """Samples."""

    def rows(self, step: int, numbers: Sequence[int]) -> Batch:
        """Rows `numbers`, of 0 to batch size - 1, of the global batch of `step` (from 0)."""

    def state(self) -> Json:
        """Where it is, the same on every rank and for every layout."""

    def restore(self, state: Json) -> None: ...


class Step(NamedTuple):
    """What one step was, over all ranks. `number` counts from 1; `tokens` without padding."""

    number: int
    loss: float
    gradient_norm: float
    factor: float
    tokens: int
    weight: float


class Watcher(Protocol):
    """Whoever hears of each step, in the order of the list: it may raise, save, or ask to stop."""

    def after(self, step: Step) -> bool:
        """True: end after this step."""


def run(
    strategy: Strategy,
    source: Source,
    settings: Settings,
    *,
    first: int = 0,
    watchers: Sequence[Watcher] = (),
) -> Step | None:
    """Steps `first` (from 0) to the last; the last one that was done."""
    step = None
    for number in range(first, settings.steps):
        step = train_step(strategy, source, settings, number)
        stops = [watcher.after(step) for watcher in watchers]
        if any(stops):
            break
    return step


def train_step(
    strategy: Strategy,
    source: Source,
    settings: Settings,
    number: int,
) -> Step:
    """Raises: JobError if the loss or the norm of the gradients is not a number any more."""
    share = strategy.share
    batch = source.rows(number, share.rows(settings.batch_size))
    weight, tokens = strategy.sum_over_shares([batch.weight, float(batch.tokens)])
    if weight == 0:
        message = f"step {number + 1} has no token to learn from"
        raise JobError("UsageError", message, "--train-on all, or a larger --batch-size")
    local_loss = strategy.gradients(batch, weight)
    (total_loss,) = strategy.sum_over_shares([local_loss])
    norm = strategy.clip(settings.clip_norm)
    rate_factor = factor(number, settings)
    strategy.update(rate_factor)
    return Step(
        number=number + 1,
        loss=total_loss / weight,
        gradient_norm=norm,
        factor=rate_factor,
        tokens=int(tokens),
        weight=weight,
    )


def is_finite(step: Step) -> bool:
    return math.isfinite(step.loss) and math.isfinite(step.gradient_norm)
