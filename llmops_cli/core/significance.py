"""How sure a difference is: Student's t and the adjustment of several p-values."""

from __future__ import annotations

import math
from collections.abc import Sequence

SURE = 0.05
"""A p below it is a verdict."""
ROUNDING = 1e-9
"""An estimate as small is none: it comes of arithmetic, not of what was measured."""


def two_sided_p(
    estimate: float,
    error: float,
    freedom: float,
) -> float:
    """The chance of an estimate this far from 0 under Student's t.

    Source: Wallace 1959, the normal approximation.
    """
    if abs(estimate) <= ROUNDING:
        return 1.0
    if error <= 0:
        return 0.0
    t = estimate / error
    df = max(1.0, freedom)
    spread = df * math.log1p(t * t / df)
    z = _correction(df) * math.sqrt(spread)
    return math.erfc(z / math.sqrt(2))


def t_limit(freedom: float, *, z: float = 1.96) -> float:
    """How many standard errors a 95 % interval reaches (the same approximation, inverted)."""
    df = max(1.0, freedom)
    scaled = z / _correction(df)
    spread = df * math.expm1(scaled**2 / df)
    return math.sqrt(spread)


def _correction(df: float) -> float:
    """By which the approximation is less than the normal deviate."""
    return (8 * df + 1) / (8 * df + 3)


def ratio_limits(
    logarithm: float,
    error: float,
    freedom: float,
) -> tuple[float, float]:
    """The 95 % interval of a ratio, from the error of its logarithm."""
    half = t_limit(freedom) * error
    low = math.exp(logarithm - half)
    high = math.exp(logarithm + half)
    return low, high


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted so that the chance of any false alarm among them stays.

    Source: Holm 1979.
    """
    count = len(p_values)
    order = sorted(range(count), key=p_values.__getitem__)
    adjusted = [1.0] * count
    worst = 0.0
    for rank, i in enumerate(order):
        left = count - rank
        stepped = p_values[i] * left
        worst = max(worst, min(1.0, stepped))
        adjusted[i] = worst
    return adjusted
