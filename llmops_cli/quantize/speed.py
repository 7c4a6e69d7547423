"""One stream's speed: how often it is measured, where its median lies, and whether it counts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import psutil

FEWEST_REPEATS = 3
ENOUGH_REPEATS = 7
MOST_REPEATS = 25
ENOUGH_S = 2.0
MOST_S = 30.0
"""A slow model is asked at least three times; a fast one until its repeats fill two seconds."""
COVERAGE = 0.95
MOST_SPREAD = 0.2
"""Width of the interval, as a share of the median, beyond which a speed is not told as one."""
MOST_OTHER_LOAD = 0.25
LOOK_AT_LOAD_S = 0.5


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """A median over repeats, the interval it lies in, and reasons where it does not count."""

    tokens_per_s: float
    interval: tuple[float, float]
    repeats: int
    measured_at: str
    invalid_reasons: list[str]


def measure_speed(tokens_per_s_once: Callable[[], float]) -> Speed:
    """Asks until the median is known well, or `MOST_S` have passed.

    The engine must be warm, and idle when this begins.
    """
    now = datetime.now(UTC)
    measured_at = now.isoformat(timespec="seconds")
    load = psutil.cpu_percent(interval=LOOK_AT_LOAD_S) / 100
    start = time.monotonic()
    speeds: list[float] = []
    spent_s = 0.0
    while not is_enough(len(speeds), spent_s):
        speed = tokens_per_s_once()
        speeds.append(speed)
        spent_s = time.monotonic() - start
    return summarize_speeds(speeds, other_load=load, measured_at=measured_at)


def is_enough(repeats: int, elapsed_s: float) -> bool:
    """Whether another repeat would cost more than it tells."""
    if repeats < FEWEST_REPEATS:
        return False
    if repeats >= MOST_REPEATS or elapsed_s > MOST_S:
        return True
    return repeats >= ENOUGH_REPEATS and elapsed_s > ENOUGH_S


def summarize_speeds(
    speeds: Sequence[float],
    *,
    other_load: float,
    measured_at: str,
) -> Speed:
    """`other_load`: the share of this machine's cores that worked while the engine was idle."""
    median = statistics.median(speeds)
    low, high = median_interval(speeds)
    spread = (high - low) / median
    reasons = []
    if spread > MOST_SPREAD:
        reasons.append(f"its {len(speeds)} repeats leave {spread:.0%} between the bounds")
    if other_load > MOST_OTHER_LOAD:
        reasons.append(f"{other_load:.0%} of the machine worked on something else")
    return Speed(
        tokens_per_s=median,
        interval=(low, high),
        repeats=len(speeds),
        measured_at=measured_at,
        invalid_reasons=reasons,
    )


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Bounds of the median by order statistics: no shape of the distribution is assumed.

    The narrowest that hold it with `COVERAGE`; fewer than six values cannot, and give their range.
    """
    ordered = sorted(values)
    count = len(ordered)
    outside = 0.0
    rank = 0
    for below in range(count // 2):
        outside += 2 * math.comb(count, below) / 2**count
        if outside > 1 - COVERAGE:
            break
        rank = below
    return ordered[rank], ordered[count - 1 - rank]
