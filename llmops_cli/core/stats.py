"""Percentiles, means and shares as docs/METRICS.md defines them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

QUANTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}
STATISTICS = ("mean", *QUANTILES)
BEYOND = 2
"""Samples that are to be expected beyond a percentile before it is told."""


class Distribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mean, percentiles and extremes of one metric.

    None without samples, and for a percentile of which there are too few. `ci95` has the 95 %
    interval of each percentile that has one, `missing` how many more samples the others need.
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
    missing: dict[str, int] = {}


def samples_needed(name: str) -> int:
    """From how many samples on a percentile is told: a median always, p90 from 20, p99 from 200."""
    if name == "p50":
        return 1
    beyond_per_100 = 100 - QUANTILES[name]
    return math.ceil(BEYOND * 100 / beyond_per_100)


def samples_missing(count: float) -> dict[str, int]:
    """How many more samples each percentile needs that cannot be told of `count`."""
    missing = {}
    for name in QUANTILES:
        more = samples_needed(name) - round(count)
        if more > 0:
            missing[name] = more
    return missing


def percentile(sorted_values: Sequence[float], q: float) -> float:
    """The q-th percentile (0-100), with linear interpolation between closest ranks.

    Raises: ValueError without values. Source: Hyndman & Fan 1996, type 7.
    """
    if not len(sorted_values):
        raise ValueError("no values")
    last = len(sorted_values) - 1
    position = last * q / 100
    low = math.floor(position)
    high = min(low + 1, last)
    below = float(sorted_values[low])
    above = float(sorted_values[high])
    share = position - low
    between = below + (above - below) * share
    # clamp: it can leave [below, above] by one rounding step
    return min(max(between, below), above)


def summarize(values: Iterable[float]) -> Distribution:
    """A distribution without intervals."""
    ordered = sorted(values)
    if not ordered:
        return Distribution()
    return Distribution(
        mean=math.fsum(ordered) / len(ordered),
        p50=percentile(ordered, 50.0),
        p90=percentile(ordered, 90.0),
        p95=percentile(ordered, 95.0),
        p99=percentile(ordered, 99.0),
        min=ordered[0],
        max=ordered[-1],
        count=len(ordered),
    )


def share_interval(
    hits: float,
    total: float,
    *,
    z: float = 1.96,
) -> tuple[float, float]:
    """Wilson's interval of a proportion, 95 % unless told; (0, 1) without trials.

    Of none it begins at 0 and of all it ends at 1, without what rounding leaves.
    Source: Wilson 1927.
    """
    if not total:
        return 0.0, 1.0
    share = hits / total
    square = z * z
    scale = 1 + square / total
    shift = square / (2 * total)
    middle = (share + shift) / scale
    own_spread = share * (1 - share) / total
    spread = own_spread + square / (4 * total * total)
    half = z * math.sqrt(spread) / scale
    low = max(0.0, middle - half) if hits > 0 else 0.0
    high = min(1.0, middle + half) if hits < total else 1.0
    return low, high
