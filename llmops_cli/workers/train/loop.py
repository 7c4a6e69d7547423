"""Training, step after step."""

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from _shared.protocol import JobError, Json
from train.data.batch import Batch
from train.schedules import factor
from train.seeds import draw_from
from train.settings import Settings
from train.strategies.strategy import Share, Strategy


class BatchSource(Protocol):
    """Samples in their order: a function of data, seed and step alone."""

    size: int
    """Samples."""

    def rows(self, step: int, numbers: Sequence[int]) -> Batch:
        """Rows `numbers`, of 0 to batch size - 1, of the global batch of `step` (from 0)."""

    def state(self) -> Json:
        """Where it is, the same on every rank and for every layout."""

    def restore(self, state: Json) -> None: ...


class Position(NamedTuple):
    """How far a run is: steps done, and steps' rows that a rollback left out."""

    done: int = 0
    left_out: int = 0

    @property
    def rows_step(self) -> int:
        """Which rows of the source are next."""
        return self.done + self.left_out

    def next(self) -> "Position":
        return self._replace(done=self.done + 1)


START = Position()


class Verdict(IntEnum):
    """What becomes of a step's gradients; the worst of all ranks' holds."""

    GOOD = 0
    SKIP = 1
    ROLL_BACK = 2
    STOP = 3


class Decision(NamedTuple):
    """The same on every rank. `ends`: somebody asked the run to end after this step."""

    verdict: Verdict
    ends: bool


class Step(NamedTuple):
    """What one step was, over all ranks. `number` counts from 1; `tokens` without padding.

    samples: ids of this rank's share of the rows.
    """

    number: int
    loss: float
    gradient_norm: float
    factor: float
    tokens: int
    weight: float
    skipped: bool = False
    """The weights stayed: gradients in fp16 overflowed, which its scale then follows."""
    samples: tuple[int, ...] = ()
    decision: Decision = Decision(Verdict.GOOD, ends=False)

    @property
    def is_used(self) -> bool:
        """Whether weights are others than before it; else its loss may be no number."""
        return self.decision.verdict is Verdict.GOOD and not self.skipped


class Guard(Protocol):
    """Stands between gradients and update, and hears what a rank is about to do."""

    def phase(self, number: int, name: str) -> None:
        """Step `number` (from 1) now does `name`."""

    def decide(self, number: int, loss: float, norm: float) -> Decision: ...

    def roll_back(self, step: Step, position: Position) -> Position:
        """The state of the last whole checkpoint, with the rows since then left out."""

    def stop(self, step: Step, position: Position) -> None:
        """Ends the run by raising; nothing of `step` is in the state."""


class Unguarded:
    """Updates by whatever comes."""

    def phase(self, number: int, name: str) -> None: ...

    def decide(self, number: int, loss: float, norm: float) -> Decision:
        return Decision(Verdict.GOOD, ends=False)

    def roll_back(self, step: Step, position: Position) -> Position:
        return position

    def stop(self, step: Step, position: Position) -> None: ...


class Watcher(Protocol):
    """Whoever hears of each step, in the order of the list: it may raise or save."""

    def after(self, step: Step) -> bool:
        """True: end after this step. Every rank must say the same."""


def run(
    strategy: Strategy,
    source: BatchSource,
    settings: Settings,
    *,
    position: Position = START,
    watchers: Sequence[Watcher] = (),
    guard: Guard | None = None,
) -> Step | None:
    """The steps behind `position` to the last; the last one that was done."""
    guard = guard or Unguarded()
    last = None
    while position.done < settings.steps:
        step = train_step(strategy, source, settings, position, guard)
        if step.decision.verdict is Verdict.ROLL_BACK:
            position = guard.roll_back(step, position)
            continue
        if step.decision.verdict is Verdict.STOP:
            guard.stop(step, position)
        position = position.next()
        last = step
        stops = [watcher.after(step) for watcher in watchers]
        if step.decision.ends or any(stops):
            break
    return last


def train_step(
    strategy: Strategy,
    source: BatchSource,
    settings: Settings,
    position: Position,
    guard: Guard,
) -> Step:
    """One step; its gradients are dropped unless they are judged good."""
    number = position.done + 1
    share = strategy.share
    guard.phase(number, "rows")
    batch = source.rows(position.rows_step, share.rows(settings.batch_size))
    guard.phase(number, "sums")
    weight, tokens = strategy.sum_over_shares([batch.weight, float(batch.tokens)])
    if weight == 0:
        message = f"step {number} has no token to learn from"
        raise JobError("UsageError", message, "--train-on all, or a larger --batch-size")
    guard.phase(number, "gradients")
    seed_step(settings.seed, position.rows_step, share)
    local_loss = strategy.gradients(batch, weight)
    (total_loss,) = strategy.sum_over_shares([local_loss])
    norm = strategy.clip(settings.clip_norm)
    rate_factor = factor(position.done, settings)
    skipped = settings.precision == "fp16" and not math.isfinite(norm)
    decision = guard.decide(number, total_loss / weight, 0.0 if skipped else norm)
    guard.phase(number, "update")
    if decision.verdict is Verdict.GOOD:
        strategy.update(rate_factor)
    else:
        strategy.drop_gradients()
    return Step(
        number=number,
        loss=total_loss / weight,
        gradient_norm=norm,
        factor=rate_factor,
        tokens=int(tokens),
        weight=weight,
        skipped=skipped,
        samples=batch.samples,
        decision=decision,
    )


def seed_step(seed: int, rows_step: int, share: Share) -> None:
    """Dropout's numbers are a function of seed, rows and share: nothing to keep for a resume.

    Ranks that compute the same rows draw the same numbers.
    """
    mixed = (seed * 1_000_003 + rows_step) * 65_537 + share.number
    draw_from(mixed % 2**63)


def is_finite(step: Step) -> bool:
    if step.skipped:
        return math.isfinite(step.loss)
    return math.isfinite(step.loss) and math.isfinite(step.gradient_norm)
