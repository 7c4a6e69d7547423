"""Between which ranks of a sample a quantile of its population lies.

Order statistics need no shape of the distribution: the chance that the k-th smallest of n draws is
below a quantile is a binomial sum, which the incomplete beta function continues between whole k.
Source: Hutson 1999, fractional order statistics.
"""

from __future__ import annotations

import math
from functools import lru_cache

TAIL = 0.025
"""What a 95 % interval leaves out on each side."""
Z = 1.96
LARGE = 20_000
"""From this size on the normal approximation is as good."""
STEPS = 24
TERMS = 1000
CLOSE = 1e-12
LEAST = 1e-300


def rank_limits(share: float, size: float) -> tuple[float, float] | None:
    """The ranks, from 1 to `size`, between which the quantile lies with a chance of 95 %.

    `share`: 0.95 for the 95th percentile. `size` need not be whole: draws that resemble one another
    count for fewer. None for a sample that is too small to bound the quantile.
    """
    rounded = round(size, 3)
    return _rank_limits(share, rounded)


def size_for_interval(share: float) -> int:
    """The smallest sample whose extremes bound the quantile on both sides."""
    farther = max(share, 1 - share)
    return math.ceil(math.log(TAIL) / math.log(farther))


@lru_cache(maxsize=4096)
def _rank_limits(share: float, size: float) -> tuple[float, float] | None:
    if size < size_for_interval(share):
        return None
    middle = share * (size + 1)
    spread = math.sqrt(size * share * (1 - share))
    if size > LARGE:
        reach = Z * spread
        return middle - reach, middle + reach
    reach = 3 * Z * spread
    first = max(1.0, middle - reach)
    last = min(size, middle + reach)
    low = _rank_below(share, size, 1 - TAIL, between=(first, last))
    high = _rank_below(share, size, TAIL, between=(first, last))
    return low, high


def _rank_below(
    share: float,
    size: float,
    chance: float,
    *,
    between: tuple[float, float],
) -> float:
    """The rank whose value is below the quantile with this chance, by bisection."""
    low, high = between
    for _ in range(STEPS):
        middle = (low + high) / 2
        if incomplete_beta(middle, size + 1 - middle, share) > chance:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b) for 0 < x < 1.

    Source: Press et al., Numerical Recipes, section 6.4 (Lentz's continued fraction).
    """
    logarithm = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    front = math.exp(logarithm)
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    c = 1.0
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_zero(1 + even * d)
        c = _away_from_zero(1 + even / c)
        found *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away_from_zero(1 + odd * d)
        c = _away_from_zero(1 + odd / c)
        step = d * c
        found *= step
        if abs(step - 1) < CLOSE:
            break
    return found


def _away_from_zero(value: float) -> float:
    if abs(value) < LEAST:
        return LEAST
    return value
