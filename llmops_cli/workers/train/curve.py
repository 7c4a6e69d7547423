"""What a run was, step by step, as the report has it, and what is told while it goes on."""

from _shared.protocol import Events, Json
from train.loop import Step
from train.settings import Settings
from train.speed import Arithmetic, Speed, clock
from train.watch.metrics import memory_bytes

POINTS = 200
"""Of a curve in the report; metrics.jsonl has every step."""

Points = list[tuple[int, float]]


def points(raw: list[list[float]]) -> Points:
    """As JSON has them."""
    return [(int(step), value) for step, value in raw]


class Curve:
    """Losses, norms of gradients and rates, thinned evenly, and the progress of the run."""

    def __init__(self, settings: Settings, arithmetic: Arithmetic, events: Events) -> None:
        self._settings = settings
        self._arithmetic = arithmetic
        self._every = max(1, settings.steps // POINTS)
        self._events = events
        self._speed = Speed(settings)
        self._losses: Points = []
        self._norms: Points = []
        self._rates: Points = []
        self._speeds: Points = []
        self._tokens = 0
        self._tokens_before = 0

    def after(self, step: Step) -> bool:
        if not step.is_used:
            return False
        self._tokens += step.tokens
        self._speed.hear(step.number, self._tokens)
        rate = self._settings.learning_rate * step.factor
        if self._is_point(step.number):
            self._losses.append((step.number, step.loss))
            self._norms.append((step.number, step.gradient_norm))
            self._rates.append((step.number, rate))
            self._speeds.append((step.number, self._speed.tokens_per_s))
        note = "  ".join(self._words(step, rate))
        self._events.progress("training", step.number, self._settings.steps, note=note)
        return False

    def _is_point(self, number: int) -> bool:
        return (number - 1) % self._every == 0 or number == self._settings.steps

    def _words(self, step: Step, rate: float) -> list[str]:
        speed = self._speed.tokens_per_s
        words = [
            f"loss {step.loss:.4f}",
            f"norm {step.gradient_norm:.3g}",
            f"lr {rate:.2e}",
            f"{speed:,.0f} tok/s",
        ]
        mfu = self._arithmetic.mfu(speed)
        if mfu is not None:
            words.append(f"MFU {mfu:.0%}")
        words.append(f"{memory_bytes() / 1e9:.1f} GB")
        words.append(f"ETA {clock(self._speed.left_s)}")
        return words

    @property
    def last_loss(self) -> float | None:
        """None before the first step."""
        return self._losses[-1][1] if self._losses else None

    @property
    def session_tokens(self) -> int:
        """Since this process began."""
        return self._tokens - self._tokens_before

    def state(self) -> Json:
        return self.result()

    def restore(self, state: Json) -> None:
        self._tokens = state["tokens"]
        self._tokens_before = self._tokens
        self._losses = points(state["loss_curve"])
        self._norms = points(state["grad_norm_curve"])
        self._rates = points(state["learning_rate_curve"])
        self._speeds = points(state["tokens_per_s_curve"])
        done = self._losses[-1][0] if self._losses else 0
        self._speed.begin(done, self._tokens)

    def result(self) -> Json:
        return {
            "tokens": self._tokens,
            "loss_curve": self._losses,
            "grad_norm_curve": self._norms,
            "learning_rate_curve": self._rates,
            "tokens_per_s_curve": self._speeds,
        }
