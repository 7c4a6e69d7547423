"""When a loss is no longer one of its run: not a number, or far above those before it. Pure."""

import math
from collections import deque
from collections.abc import Iterable
from statistics import median

from _shared.protocol import Json

WINDOW = 64
"""Losses that are compared with."""
LEAST = 32
"""Fewer say nothing yet."""
DEVIATIONS = 12.0
"""Robust z-score (Iglewicz and Hoaglin, 1993, use 3.5 for an outlier; batches differ by more)."""
MAD_TO_SIGMA = 1.4826
"""Of a normal distribution."""
LEAST_SIGMA = 0.02
"""As a share of the median: a window without noise makes no spike of a small step up."""


class Spikes:
    """Remembers the losses of good steps."""

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=WINDOW)

    def reason(self, loss: float, norm: float) -> str | None:
        """Why this step is none to learn from, if it is not."""
        if not math.isfinite(loss):
            return f"the loss became {loss}"
        if not math.isfinite(norm):
            return f"the norm of the gradients became {norm}"
        if len(self._losses) < LEAST:
            return None
        middle = median(self._losses)
        deviations = _robust_z(loss, middle, self._losses)
        if deviations > DEVIATIONS:
            return f"the loss jumped to {loss:.4g} from {middle:.4g} ({deviations:.0f} sigma)"
        return None

    def add(self, loss: float) -> None:
        self._losses.append(loss)

    def state(self) -> Json:
        return {"losses": list(self._losses)}

    def restore(self, state: Json) -> None:
        self._losses = deque(state["losses"], maxlen=WINDOW)


def _robust_z(loss: float, middle: float, losses: Iterable[float]) -> float:
    distances = [abs(each - middle) for each in losses]
    sigma = max(MAD_TO_SIGMA * median(distances), LEAST_SIGMA * abs(middle), 1e-12)
    return (loss - middle) / sigma
