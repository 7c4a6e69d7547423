"""The loss on data that the model is not trained on."""

import math
from collections.abc import Callable
from typing import Any

from _shared.protocol import Events, Json
from train.checkpoints.checkpoints import Checkpoints
from train.data.source import Source
from train.loop import Step
from train.settings import Settings
from train.strategies.strategy import Strategy
from train.task import Task

MOST_STEPS = 200
"""Batches of one evaluation; more say little and cost much."""
MOST_LOSS = 700.0
"""Beyond it a perplexity is no number."""


Phase = Callable[[int, str], None]
"""A step (from 1), and what is done in it."""


def _nobody(number: int, name: str) -> None:
    del number, name


class Evaluation:
    """Every so many steps, and at the end."""

    def __init__(
        self,
        strategy: Strategy,
        source: Source,
        settings: Settings,
        events: Events,
        *,
        task: Task | None = None,
        phase: Phase = _nobody,
    ) -> None:
        """`phase` hears of each batch, for a rank that evaluates long does not hang."""
        self._task = task
        self._phase = phase
        self._strategy = strategy
        self._source = source
        self._settings = settings
        self._events = events
        self.checkpoints: Checkpoints | None = None
        self._found: list[Json] = []

    def after(self, step: Step) -> bool:
        every = self._settings.evaluate_every
        is_due = every > 0 and step.number % every == 0
        if is_due or step.number == self._settings.steps:
            self._evaluate(step.number)
        return False

    def _evaluate(self, number: int) -> None:
        model: Any = self._strategy.model
        model.eval()
        loss, weight, tokens = self._sums(number)
        skills = self._task.score(self._strategy) if self._task else {}
        model.train()
        mean = loss / max(weight, 1.0)
        found = {
            "step": number,
            "loss": mean,
            "perplexity": math.exp(min(mean, MOST_LOSS)),
            "tokens": int(tokens),
            "skills": skills,
        }
        self._found.append(found)
        if self.checkpoints is not None:
            self.checkpoints.validation = mean

    def _sums(self, number: int) -> list[float]:
        """Weighted losses, weights, tokens; every rank takes its share of every batch."""
        loss = 0.0
        weight = 0.0
        tokens = 0.0
        rows = self._strategy.share.rows(self._settings.batch_size)
        for step in range(MOST_STEPS):
            if self._source.is_over(step):
                break
            self._phase(number, "evaluate")
            self._events.progress("validation", step, 0)
            batch = self._source.rows(step, rows)
            loss += self._strategy.losses(batch)
            weight += batch.weight
            tokens += batch.tokens
        return self._strategy.sum_over_shares([loss, weight, tokens])

    def state(self) -> Json:
        return {"found": self._found}

    def restore(self, state: Json) -> None:
        self._found = list(state["found"])

    def result(self) -> list[Json]:
        return self._found
