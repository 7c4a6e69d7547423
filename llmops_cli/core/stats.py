"""Percentiles and means as docs/METRICS.md defines them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec


class Distribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mean and percentiles of one metric over the successful requests of a level; None without samples."""

    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


def percentile(sorted_values: Sequence[float], q: float) -> float:
    """The q-th percentile (0-100) with linear interpolation between closest ranks (Hyndman-Fan type 7).

    Raises: ValueError without values.
    """
    if not sorted_values:
        raise ValueError("no values")
    position = (len(sorted_values) - 1) * q / 100
    low = math.floor(position)
    high = min(low + 1, len(sorted_values) - 1)
    below, above = sorted_values[low], sorted_values[high]
    # clamp: below + d * (above - below) can leave [below, above] by one rounding step
    return min(max(below + (above - below) * (position - low), below), above)


def summarize(values: Sequence[float]) -> Distribution:
    """Mean, p50, p95 and p99 of the values, in their own unit."""
    if not values:
        return Distribution()
    ordered = sorted(values)
    return Distribution(
        mean=math.fsum(ordered) / len(ordered),
        p50=percentile(ordered, 50),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
    )
