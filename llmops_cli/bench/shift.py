"""By which factor a typical latency changed, and how sure that is.

The factor is the shift of the logarithms (Hodges & Lehmann 1963), tested by the chance of
superiority (Mann & Whitney 1947) with a variance that allows for neighbours being alike. Skew and
outliers do not weaken it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from llmops_cli.core.effective import spread_of_total
from llmops_cli.core.significance import t_limit, two_sided_p

if TYPE_CHECKING:
    from numpy import ndarray

MOST_RANKED = 4096
"""The shift is looked for among at most about this many values of a side."""
TINY = 1e-9
BISECTIONS = 50


class Uncertainty(NamedTuple):
    """The standard error of an estimate, and its degrees of freedom."""

    error: float
    freedom: float


class ShiftResult(NamedTuple):
    ratio: float
    ratio_ci95: tuple[float, float]
    p: float


class RankedSides:
    """The logarithms of two samples, and the chance that one of B is above one of A."""

    def __init__(
        self,
        values_a: ndarray,
        blocks_a: ndarray,
        values_b: ndarray,
        blocks_b: ndarray,
        *,
        is_paired: bool,
    ) -> None:
        """Shapes: values and the block of time of each (n,). In pairs, blocks are the same."""
        import numpy as np

        positive_a = np.maximum(values_a, TINY)
        positive_b = np.maximum(values_b, TINY)
        logs_a = np.log(positive_a)
        logs_b = np.log(positive_b)
        sorted_a = np.sort(logs_a)
        sorted_b = np.sort(logs_b)
        # each value's part in the statistic: how the other side's distribution ranks it
        parts_a = -_ranks(sorted_b, logs_a)
        parts_b = _ranks(sorted_a, logs_b)
        if is_paired:
            uncertainty = _of_mean(parts_a + parts_b, blocks_a)
        else:
            of_a = _of_mean(parts_a, blocks_a)
            of_b = _of_mean(parts_b, blocks_b)
            uncertainty = Uncertainty(
                error=math.hypot(of_a.error, of_b.error),
                freedom=min(of_a.freedom, of_b.freedom),
            )
        self._above = float(parts_b.mean())
        self._error = uncertainty.error
        self._freedom = uncertainty.freedom
        largest = max(len(sorted_a), len(sorted_b))
        if largest > MOST_RANKED:
            sorted_a = _thinned(sorted_a)
            sorted_b = _thinned(sorted_b)
        self._a = sorted_a
        self._b = sorted_b

    def shift(self, between: Uncertainty | None) -> ShiftResult:
        """`between` is the error of the logarithm that was seen between repetitions."""
        middle = self._shift_for(0.5)
        reach = t_limit(self._freedom) * self._error
        low = self._shift_for(0.5 + reach)
        high = self._shift_for(0.5 - reach)
        distance = self._above - 0.5
        p = two_sided_p(distance, self._error, self._freedom)
        if between is not None:
            half = t_limit(between.freedom) * between.error
            p_between = two_sided_p(middle, *between)
            low = min(low, middle - half)
            high = max(high, middle + half)
            p = max(p, p_between)
        interval = (math.exp(low), math.exp(high))
        return ShiftResult(math.exp(middle), interval, p)

    def _shift_for(self, chance: float) -> float:
        """The shift of B that leaves it above A with the chance."""
        lowest = self._b[0] - self._a[-1]
        highest = self._b[-1] - self._a[0]
        low = float(lowest) - TINY
        high = float(highest) + TINY
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            shifted = self._b - middle
            ranks = _ranks(self._a, shifted)
            if float(ranks.mean()) > chance:
                low = middle
            else:
                high = middle
        return (low + high) / 2


def _thinned(ordered: ndarray) -> ndarray:
    step = max(1, len(ordered) // MOST_RANKED)
    return ordered[::step]


def _ranks(ordered: ndarray, values: ndarray) -> ndarray:
    """The share of `ordered` below each value, ties half."""
    import numpy as np

    below = np.searchsorted(ordered, values, "left")
    upto = np.searchsorted(ordered, values, "right")
    both = 2 * len(ordered)
    return (below + upto) / both


def _of_mean(parts: ndarray, blocks: ndarray) -> Uncertainty:
    """How sure the mean of `parts` is, from the sums of their blocks in time."""
    import numpy as np

    deviations = parts - parts.mean()
    sums = np.bincount(blocks, weights=deviations)
    spread = spread_of_total(sums)
    error = math.sqrt(spread.variance) / len(parts)
    return Uncertainty(error, spread.freedom)
