"""What a run was, step by step, as the report has it, and what is told while it goes on."""

import time

from _shared.protocol import Events, JobError, Json
from train.loop import Step, is_finite
from train.settings import Settings

POINTS = 200
"""Of a curve in the report; metrics.jsonl has every step."""
WINDOW_STEPS = 20
"""Over so many of the last steps the speed that is shown is measured."""


class Curve:
    """Losses, norms of gradients and rates, thinned evenly, and the progress of the run."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self._settings = settings
        self._every = max(1, settings.steps // POINTS)
        self._events = events
        self._losses: list[tuple[int, float]] = []
        self._norms: list[tuple[int, float]] = []
        self._rates: list[tuple[int, float]] = []
        self._speeds: list[tuple[int, float]] = []
        self._tokens = 0
        self._recent = [(time.monotonic(), 0)]

    def after(self, step: Step) -> bool:
        if not is_finite(step):
            message = f"the loss became {step.loss} at step {step.number}"
            raise JobError("EngineFailed", message, "lower --learning-rate")
        self._tokens += step.tokens
        speed = self._speed()
        rate = self._settings.learning_rate * step.factor
        if self._is_point(step.number):
            self._losses.append((step.number, step.loss))
            self._norms.append((step.number, step.gradient_norm))
            self._rates.append((step.number, rate))
            self._speeds.append((step.number, speed))
        self._tell(step, rate, speed)
        return False

    def _is_point(self, number: int) -> bool:
        return (number - 1) % self._every == 0 or number == self._settings.steps

    def _speed(self) -> float:
        """Tokens a second over the last steps."""
        now_s = time.monotonic()
        self._recent.append((now_s, self._tokens))
        self._recent = self._recent[-WINDOW_STEPS - 1 :]
        first_s, first_tokens = self._recent[0]
        elapsed_s = max(now_s - first_s, 1e-9)
        return (self._tokens - first_tokens) / elapsed_s

    def _tell(self, step: Step, rate: float, speed: float) -> None:
        self._events.progress(
            "training",
            step.number,
            self._settings.steps,
            loss=step.loss,
            gradient_norm=step.gradient_norm,
            learning_rate=rate,
            tokens_per_s=speed,
        )

    def result(self) -> Json:
        return {
            "tokens": self._tokens,
            "loss_curve": self._losses,
            "grad_norm_curve": self._norms,
            "learning_rate_curve": self._rates,
            "tokens_per_s_curve": self._speeds,
        }
