"""How fast a run goes, over its last steps, and what that is of the device's peak."""

import time
from typing import NamedTuple

from train.settings import Settings

WINDOW_STEPS = 20


class Arithmetic(NamedTuple):
    """What the plan knows: 0 where nobody does. The peak is that of all devices together."""

    flops_per_token: float = 0.0
    peak_flops_per_s: float = 0.0

    def mfu(self, tokens_per_s: float) -> float | None:
        """The share of the peak that the model's own arithmetic takes (arXiv:2204.02311, B)."""
        if not self.peak_flops_per_s:
            return None
        return self.flops_per_token * tokens_per_s / self.peak_flops_per_s


class Stopwatch:
    """Seconds by the clock and of this process's cores, since it was made until it is stopped."""

    def __init__(self) -> None:
        self._wall_s = time.monotonic()
        self._cpu_s = time.process_time()
        self._stopped: tuple[float, float] | None = None

    def stop(self) -> None:
        self._stopped = (time.monotonic(), time.process_time())

    @property
    def wall_s(self) -> float:
        end_s = self._stopped[0] if self._stopped else time.monotonic()
        return end_s - self._wall_s

    @property
    def cpu_s(self) -> float:
        end_s = self._stopped[1] if self._stopped else time.process_time()
        return end_s - self._cpu_s


class Speed:
    """Hears of each step's tokens."""

    def __init__(self, settings: Settings) -> None:
        self._steps = settings.steps
        self._recent = [(time.monotonic(), 0, 0)]

    def hear(self, number: int, tokens: int) -> None:
        """After step `number`, with the tokens of the whole run so far."""
        self._recent.append((time.monotonic(), number, tokens))
        self._recent = self._recent[-WINDOW_STEPS - 1 :]

    def begin(self, number: int, tokens: int) -> None:
        """A resumed run's speed is that of its own steps."""
        self._recent = [(time.monotonic(), number, tokens)]

    @property
    def tokens_per_s(self) -> float:
        first_s, _, first_tokens = self._recent[0]
        last_s, _, last_tokens = self._recent[-1]
        return (last_tokens - first_tokens) / max(last_s - first_s, 1e-9)

    @property
    def left_s(self) -> float:
        """Until the last step, as the last ones went."""
        first_s, first_number, _ = self._recent[0]
        last_s, last_number, _ = self._recent[-1]
        step_s = (last_s - first_s) / max(last_number - first_number, 1)
        return step_s * (self._steps - last_number)


def clock(seconds: float) -> str:
    """1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
