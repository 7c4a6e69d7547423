"""Percentiles, means and their confidence intervals as docs/METRICS.md defines them. numpy is
imported late.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from numpy import ndarray

QUANTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}
STATISTICS = ("mean", *QUANTILES)
RESAMPLES = 1000
EXACT_VALUES = 50_000
BLOCKS = 64
"""A sample is resampled in at most this many blocks of neighbours in time, since neighbours share a
server's state.
"""
RANK_GROUPS = 2048
LOG_STEP = math.log(1.005)
LOG_ZERO = 1e-6


class Distribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mean, percentiles and extremes of one metric.

    None without samples. `ci95` has a 95 % bootstrap interval of each statistic that has one.
    """

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    min: float | None = None
    max: float | None = None
    count: int = 0
    ci95: dict[str, tuple[float, float]] = {}


def percentile(sorted_values: Sequence[float], q: float) -> float:
    """The q-th percentile (0-100) with linear interpolation between closest ranks (Hyndman-Fan type
    7).

    Raises: ValueError without values.
    """
    if not len(sorted_values):
        raise ValueError("no values")
    position = (len(sorted_values) - 1) * q / 100
    low = math.floor(position)
    high = min(low + 1, len(sorted_values) - 1)
    below = float(sorted_values[low])
    above = float(sorted_values[high])
    # clamp: below + d * (above - below) can leave [below, above] by one rounding step
    return min(max(below + (above - below) * (position - low), below), above)


def summarize(values: Iterable[float]) -> Distribution:
    """A distribution without intervals."""
    ordered = sorted(values)
    if not ordered:
        return Distribution()
    points = {name: percentile(ordered, q) for name, q in QUANTILES.items()}
    return Distribution(
        mean=math.fsum(ordered) / len(ordered),
        p50=points["p50"],
        p90=points["p90"],
        p95=points["p95"],
        p99=points["p99"],
        min=ordered[0],
        max=ordered[-1],
        count=len(ordered),
    )


def key_of(value: float) -> int:
    """The logarithmic bucket of a value, 0.5 % wide; values under 1e-6 share one."""
    return math.floor(math.log(value if value > LOG_ZERO else LOG_ZERO) / LOG_STEP)


def keys_of(values: Iterable[int], scale: float) -> list[int]:
    """The buckets of many values times `scale`; as key_of, without a call for each."""
    log = math.log
    floor = math.floor
    shift = math.log(scale)
    zero = key_of(0.0)
    return [
        max(floor((log(value) + shift) / LOG_STEP), zero) if value > 0 else zero for value in values
    ]


@cache
def value_of(key: int) -> float:
    """The middle of a bucket: within 0.25 % of everything in it."""
    return 0.0 if key <= key_of(0.0) else math.exp((key + 0.5) * LOG_STEP)


class Sample:
    """Values of one metric, each in a block of time: exact up to EXACT_VALUES, then in buckets of
    0.5 %.

    So its memory has a bound, whatever the length of the run.
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

    def add_bucket(self, key: int, weight: float, block: int = 0) -> None:
        """`weight` values of bucket `key`; from here on the sample is one of buckets."""
        place = (block, key)
        self._buckets[place] = self._buckets.get(place, 0.0) + weight

    def _as_bucket(self, value: float, block: int) -> None:
        key = key_of(value)
        self._correction += value - value_of(key)
        self.add_bucket(key, 1.0, block)

    def _spill(self) -> None:
        for value, block in zip(self._values, self._blocks, strict=True):
            self._as_bucket(value, block)
        self._values = array("d")
        self._blocks = array("H")

    def distribution(self, *, seed: int = 0) -> Distribution:
        """Statistics with bootstrap intervals: the blocks are drawn with replacement, RESAMPLES
        times.
        """
        if self._values and self._buckets:
            self._spill()
        if not self._values and not self._buckets:
            return Distribution()
        support, weights = self._weights()
        total = weights.sum(axis=0)
        if self._values:
            exact = sorted(self._values)
            points = {name: percentile(exact, q) for name, q in QUANTILES.items()}
            mean = math.fsum(exact) / len(exact)
            low = exact[0]
            high = exact[-1]
            count = len(exact)
        else:
            points = {name: _weighted(support, total, q) for name, q in QUANTILES.items()}
            count = round(float(total.sum()))
            mean = (float(total @ support) + self._correction) / float(total.sum())
            low = self._min
            high = self._max
            if low > high:  # only buckets were added
                low = float(support[0])
                high = float(support[-1])
        return Distribution(
            mean=mean,
            p50=points["p50"],
            p90=points["p90"],
            p95=points["p95"],
            p99=points["p99"],
            min=low,
            max=high,
            count=count,
            ci95=_bootstrap(support, weights, seed),
        )

    def _weights(self) -> tuple[ndarray, ndarray]:
        """Values (K,) in rising order and how often each occurs in each block (B, K)."""
        import numpy as np

        if self._values:
            return block_weights(
                np.frombuffer(self._values), np.frombuffer(self._blocks, dtype=np.uint16)
            )
        keys = sorted({key for _, key in self._buckets})
        places = {key: i for i, key in enumerate(keys)}
        column = np.array([places[key] for _, key in self._buckets])
        blocks = np.array([block for block, _ in self._buckets])
        used, row = np.unique(blocks, return_inverse=True)
        weights = np.zeros((len(used), len(keys)))
        np.add.at(weights, (row, column), np.array(list(self._buckets.values())))
        return np.array([value_of(key) for key in keys]), weights


def block_weights(values: ndarray, blocks: ndarray) -> tuple[ndarray, ndarray]:
    """Values (n,) with their block numbers (n,) -> support (K,) in rising order, and counts by
    block (B, K).

    Over RANK_GROUPS values, neighbours in rank share a column with their mean.
    """
    import numpy as np

    order = np.argsort(values, kind="stable")
    groups = min(len(values), RANK_GROUPS)
    column = np.empty(len(values), dtype=np.int64)
    column[order] = np.arange(len(values)) * groups // len(values)
    support = np.bincount(column, weights=values, minlength=groups) / np.bincount(
        column, minlength=groups
    )
    used, row = np.unique(blocks, return_inverse=True)
    weights = np.zeros((len(used), groups))
    np.add.at(weights, (row, column), 1.0)
    return support, weights


def resample(support: ndarray, weights: ndarray, draws: ndarray) -> dict[str, ndarray]:
    """Each statistic of resamples.

    `draws` (R, B) says how often each block was drawn; values are (R,).
    """
    import numpy as np

    counts = draws @ weights
    cumulated = np.cumsum(counts, axis=1)
    total = np.maximum(cumulated[:, -1:], 1e-12)
    found = {"mean": counts @ support / total[:, 0]}
    for name, q in QUANTILES.items():
        place = (cumulated < total * q / 100).sum(axis=1)
        found[name] = support[np.minimum(place, len(support) - 1)]
    return found


def _weighted(support: ndarray, total: ndarray, q: float) -> float:
    import numpy as np

    cumulated = np.cumsum(total)
    place = int(np.searchsorted(cumulated, q / 100 * cumulated[-1]))
    return float(support[min(place, len(support) - 1)])


def _bootstrap(support: ndarray, weights: ndarray, seed: int) -> dict[str, tuple[float, float]]:
    import numpy as np

    blocks = len(weights)
    if blocks < 2:
        return {}
    rng = np.random.default_rng(seed)
    parts = [
        resample(support, weights, rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=100))
        for _ in range(RESAMPLES // 100)
    ]
    return {
        name: (float(low), float(high))
        for name in STATISTICS
        for low, high in [
            np.quantile(np.concatenate([part[name] for part in parts]), [0.025, 0.975])
        ]
    }


def ratio_interval(
    tops: Sequence[float], bottom: float, *, seed: int = 0
) -> tuple[float, float] | None:
    """A 95 % bootstrap interval of sum(tops) / bottom, for a rate from the counts of equal
    stretches of time.
    """
    import numpy as np

    if len(tops) < 2 or not bottom:
        return None
    values = np.asarray(tops, dtype=float)
    draws = np.random.default_rng(seed).multinomial(
        len(values), np.full(len(values), 1 / len(values)), size=RESAMPLES
    )
    low, high = np.quantile(draws @ values / bottom, [0.025, 0.975])
    return float(low), float(high)


def share_interval(hits: int, total: int, *, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a proportion (Wilson 1927), 95 % unless told; (0, 1) without trials."""
    if not total:
        return 0.0, 1.0
    share = hits / total
    square = z * z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = (
        z
        * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
        / (1 + square / total)
    )
    return max(0.0, middle - half), min(1.0, middle + half)


def two_sided_p(estimate: float, error: float, freedom: float) -> float:
    """The chance of an estimate this far from 0 under Student's t, by Wallace's normal
    approximation (1959).
    """
    if error <= 0:
        return 1.0 if estimate == 0 else 0.0
    t = estimate / error
    df = max(1.0, freedom)
    z = (8 * df + 1) / (8 * df + 3) * math.sqrt(df * math.log1p(t * t / df))
    return math.erfc(z / math.sqrt(2))


def t_limit(freedom: float, *, z: float = 1.96) -> float:
    """How many standard errors a 95 % interval reaches (the same approximation, inverted)."""
    df = max(1.0, freedom)
    return math.sqrt(df * math.expm1((z * (8 * df + 3) / (8 * df + 1)) ** 2 / df))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted so that the chance of any false alarm among them stays (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = worst
    return adjusted
