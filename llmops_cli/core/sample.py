"""Values of one metric in blocks of time, and intervals that allow for neighbours being alike.

Neighbours in time share a server's state, so values are no independent draws: blocks are.
Shapes: n values, K values of the support in rising order, B blocks, R resamples.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from llmops_cli.core.effective import design_effect, effects_of_percentiles
from llmops_cli.core.histogram import key_of, value_of
from llmops_cli.core.ranks import rank_limits
from llmops_cli.core.stats import QUANTILES, Distribution, percentile, samples_missing

if TYPE_CHECKING:
    from numpy import ndarray
    from numpy.random import Generator
    from numpy.typing import ArrayLike

EXACT_VALUES = 50_000
BLOCKS = 64
"""A sample is resampled in at most this many blocks."""
RANK_GROUPS = 2048


class Sample:
    """Values of one metric, each in a block of time.

    Exact up to EXACT_VALUES, then in buckets of 0.5 %: its memory has a bound, whatever the length
    of the run.
    """

    def __init__(self) -> None:
        self._values = array("d")
        self._blocks = array("H")
        self._buckets: dict[tuple[int, int], float] = {}
        self._correction = 0.0  # what the sum loses when values become buckets
        self._min = math.inf
        self._max = -math.inf

    def add(self, value: float, block: int = 0) -> None:
        self._min = min(self._min, value)
        self._max = max(self._max, value)
        if not self._buckets and len(self._values) < EXACT_VALUES:
            self._values.append(value)
            self._blocks.append(block)
            return
        self._spill()
        self._as_bucket(value, block)

    def add_bucket(
        self,
        key: int,
        weight: float,
        block: int = 0,
    ) -> None:
        """`weight` values of bucket `key`; from here on the sample is one of buckets."""
        place = (block, key)
        known = self._buckets.get(place, 0.0)
        self._buckets[place] = known + weight

    def add_buckets(self, pairs: Sequence[float], block: int = 0) -> None:
        """Bucket, weight, bucket, weight, as they are kept in records."""
        for place in range(0, len(pairs), 2):
            key = int(pairs[place])
            weight = pairs[place + 1]
            self.add_bucket(key, weight, block)

    def _as_bucket(self, value: float, block: int) -> None:
        key = key_of(value)
        self._correction += value - value_of(key)
        self.add_bucket(key, 1.0, block)

    def _spill(self) -> None:
        for value, block in zip(self._values, self._blocks, strict=True):
            self._as_bucket(value, block)
        self._values = array("d")
        self._blocks = array("H")

    def distribution(self) -> Distribution:
        """Statistics, each where there are samples enough for it, with their intervals."""
        if self._values and self._buckets:
            self._spill()
        if self._values:
            return self._of_values()
        if self._buckets:
            return self._of_buckets()
        return Distribution()

    def _of_values(self) -> Distribution:
        import numpy as np

        values = np.frombuffer(self._values)
        blocks = np.frombuffer(self._blocks, dtype=np.uint16)
        exact = sorted(self._values)
        count = len(exact)
        _, rows = np.unique(blocks, return_inverse=True)
        sizes = np.bincount(rows)
        points = {name: percentile(exact, q) for name, q in QUANTILES.items()}

        def at_rank(rank: float) -> float:
            return percentile(exact, 100 * (rank - 1) / max(1, count - 1))

        own = {}
        for name, point in points.items():
            below = np.bincount(rows, weights=values <= point)
            own[name] = design_effect(below, sizes)
        effects = effects_of_percentiles(own, len(sizes))
        return _told(
            points,
            mean=math.fsum(exact) / count,
            low=exact[0],
            high=exact[-1],
            count=count,
            ci95=_intervals(count, effects, at_rank),
        )

    def _of_buckets(self) -> Distribution:
        support, weights = self._bucket_weights()
        total = weights.sum(axis=0)
        count = float(total.sum())
        low = self._min
        high = self._max
        if low > high:  # only buckets were added
            low = float(support[0])
            high = float(support[-1])
        whole = float(total @ support) + self._correction
        points = {name: _weighted_percentile(support, total, q) for name, q in QUANTILES.items()}

        def at_rank(rank: float) -> float:
            return _weighted_percentile(support, total, 100 * rank / count)

        own = {}
        sizes = weights.sum(axis=1)
        for name, point in points.items():
            own[name] = design_effect(weights @ (support <= point), sizes)
        effects = effects_of_percentiles(own, len(sizes))
        return _told(
            points,
            mean=whole / count,
            low=low,
            high=high,
            count=round(count),
            ci95=_intervals(count, effects, at_rank),
        )

    def _bucket_weights(self) -> tuple[ndarray, ndarray]:
        """Support (K,) and how often each of its values occurs in each block (B, K)."""
        import numpy as np

        of_blocks = []
        of_keys = []
        for block, key in self._buckets:
            of_blocks.append(block)
            of_keys.append(key)
        keys, column = np.unique(of_keys, return_inverse=True)
        counts = list(self._buckets.values())
        weights = _by_block(of_blocks, column, counts, width=len(keys))
        support = [value_of(key) for key in keys.tolist()]
        return np.array(support), weights


def time_blocks(count: int) -> ndarray:
    """The block of each of so many requests in order of time (n,)."""
    import numpy as np

    places = np.arange(count)
    blocks = min(BLOCKS, count)
    return places * blocks // max(1, count)


def block_weights(values: ndarray, blocks: ndarray) -> tuple[ndarray, ndarray]:
    """Values (n,) with their block numbers (n,) -> support (K,), and counts by block (B, K).

    Over RANK_GROUPS values, neighbours in rank share a column with their mean.
    """
    import numpy as np

    size = len(values)
    order = np.argsort(values, kind="stable")
    groups = min(size, RANK_GROUPS)
    column = np.empty(size, dtype=np.int64)
    ranks = np.arange(size)
    column[order] = ranks * groups // size
    sums = np.bincount(column, weights=values, minlength=groups)
    sizes = np.bincount(column, minlength=groups)
    support = sums / sizes
    weights = _by_block(blocks, column, 1.0, width=groups)
    return support, weights


def _by_block(
    blocks: ArrayLike,
    column: ndarray,
    counts: ArrayLike,
    *,
    width: int,
) -> ndarray:
    """How much is counted in each block and column (B, K); a block without anything has no row."""
    import numpy as np

    used, row = np.unique(blocks, return_inverse=True)
    weights = np.zeros((len(used), width))
    np.add.at(weights, (row, column), counts)
    return weights


def block_draws(
    rng: Generator,
    blocks: int,
    count: int,
) -> ndarray:
    """How often each block is drawn (count, B), as many as there are, with replacement."""
    import numpy as np

    chances = np.full(blocks, 1 / blocks)
    return rng.multinomial(blocks, chances, size=count)


def resample(
    support: ndarray,
    weights: ndarray,
    draws: ndarray,
) -> dict[str, ndarray]:
    """Each statistic of resamples (R,).

    `draws` (R, B) says how often each block was drawn.
    """
    import numpy as np

    counts = draws @ weights
    cumulated = np.cumsum(counts, axis=1)
    sums = cumulated[:, -1:]
    total = np.maximum(sums, 1e-12)
    last = len(support) - 1
    means = counts @ support / total[:, 0]
    found = {"mean": means}
    for name, q in QUANTILES.items():
        is_below = cumulated < total * q / 100
        place = is_below.sum(axis=1)
        inside = np.minimum(place, last)
        found[name] = support[inside]
    return found


def _weighted_percentile(
    support: ndarray,
    total: ndarray,
    q: float,
) -> float:
    import numpy as np

    cumulated = np.cumsum(total)
    wanted = q / 100 * cumulated[-1]
    place = int(np.searchsorted(cumulated, wanted))
    last = len(support) - 1
    return float(support[min(place, last)])


def _told(
    points: dict[str, float],
    *,
    mean: float,
    low: float,
    high: float,
    count: int,
    ci95: dict[str, tuple[float, float]],
) -> Distribution:
    """Without the percentiles that there are too few samples for."""
    missing = samples_missing(count)
    told = {name: value for name, value in points.items() if name not in missing}
    known = {name: limits for name, limits in ci95.items() if name in told}
    return Distribution(
        mean=mean,
        min=low,
        max=high,
        count=count,
        ci95=known,
        missing=missing,
        **told,
    )


def _intervals(
    count: float,
    effects: Mapping[str, float],
    at_rank: Callable[[float], float],
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each percentile that the sample bounds on both sides."""
    found = {}
    for name, q in QUANTILES.items():
        size = count / effects[name]
        limits = rank_limits(q / 100, size)
        if limits is None:
            continue
        scale = (count + 1) / (size + 1)
        low, high = (at_rank(rank * scale) for rank in limits)
        found[name] = (low, high)
    return found
