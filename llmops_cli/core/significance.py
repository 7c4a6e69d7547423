"""How sure a difference is: Student's t, tests in pairs, and the adjustment of several p-values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from llmops_cli.core.stats import share_interval

SURE = 0.05
"""A p below it is a verdict."""
MOST_EXACT = 1000
"""Throws that are counted in whole numbers; rows of a batch are 100,000."""
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


def mcnemar_p(wins: int, losses: int) -> float:
    """Two-sided, exact: the chance of a split as uneven among cases that differ.

    Source: McNemar 1947, as the binomial test of a fair coin.
    """
    count = wins + losses
    if not count:
        return 1.0
    fewer = min(wins, losses)
    if count > MOST_EXACT:
        return min(1.0, 2 * _fair_tail(fewer, count))
    tail = sum(math.comb(count, hits) for hits in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << count))


def _fair_tail(most: int, count: int) -> float:
    """The chance of at most so many heads in throws of a fair coin, to 12 digits or so.

    Each term is the one above it times a ratio below 1, so that few of them matter.
    """
    log_term = math.lgamma(count + 1) - math.lgamma(most + 1) - math.lgamma(count - most + 1)
    term = math.exp(log_term - count * math.log(2))
    total = 0.0
    for hits in range(most, -1, -1):
        total += term
        if term <= total * 1e-17:
            break
        term *= hits / (count - hits + 1)
    return total


def sign_flip_p(
    differences: Sequence[float],
    *,
    draws: int = 20_000,
    seed: int = 0,
) -> float:
    """Two-sided: how often a sum as far from 0 comes of signs thrown at random.

    Exact where each difference is -1, 0 or 1, which is McNemar's test. Source: Fisher 1935.
    """
    others = [each for each in differences if abs(each) > ROUNDING]
    if all(abs(abs(each) - 1) <= ROUNDING for each in others):
        wins = sum(each > 0 for each in others)
        return mcnemar_p(wins, len(others) - wins)
    import numpy as np

    values = np.asarray(others)
    seen = abs(float(values.sum())) - ROUNDING
    rng = np.random.default_rng(seed)
    hits = 0
    for begin in range(0, draws, 1000):
        count = min(1000, draws - begin)
        signs = rng.integers(0, 2, size=(count, len(others))) * 2 - 1
        hits += int((np.abs(signs @ values) >= seen).sum())
    return (hits + 1) / (draws + 1)


def paired_interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a mean of differences between -1 and 1; (-1, 1) without any.

    Two cases are added that say nothing: 0 and 0, and half of each extreme, so that few cases
    which all agree are not sure. Source: Agresti and Min 2005.
    """
    count = len(differences)
    if not count:
        return -1.0, 1.0
    total = count + 2
    mean = math.fsum(differences) / total
    squares = math.fsum(each * each for each in differences) + 1
    variance = max(0.0, squares / total - mean * mean) / total
    half = t_limit(total - 1) * math.sqrt(variance)
    return max(-1.0, mean - half), min(1.0, mean + half)


class ShareDifference(NamedTuple):
    """The second mean less the first; `p` is two-sided."""

    difference: float
    ci95: tuple[float, float]
    p: float


def share_difference(a: tuple[float, int], b: tuple[float, int]) -> ShareDifference:
    """Of two means of values from 0 to 1 that have nothing to do with each other: (mean, count).

    Their spread is taken as that of shares, the largest that such values can have.
    Source: Newcombe 1998, method 10, for the interval; the pooled score test for p.
    """
    mean_a, count_a = a
    mean_b, count_b = b
    low_a, high_a = share_interval(mean_a * count_a, count_a)
    low_b, high_b = share_interval(mean_b * count_b, count_b)
    difference = mean_b - mean_a
    low = difference - math.hypot(mean_b - low_b, high_a - mean_a)
    high = difference + math.hypot(high_b - mean_b, mean_a - low_a)
    total = count_a + count_b
    pooled = (mean_a * count_a + mean_b * count_b) / total
    error = math.sqrt(pooled * (1 - pooled) * (1 / count_a + 1 / count_b))
    p = two_sided_p(difference, error, total - 2)
    return ShareDifference(difference, (max(-1.0, low), min(1.0, high)), p)


def clustered_share(shares: Sequence[float], trials: int) -> tuple[float, float]:
    """Wilson's interval of a mean of shares, each of the same number of repeats of one case.

    Repeats of a case are alike, so that they count for less than as many cases: the trials are
    divided by the design effect, and are never fewer than the cases. Source: Kish 1965.
    """
    cases = len(shares)
    if not cases:
        return 0.0, 1.0
    mean = math.fsum(shares) / cases
    sound = float(min(cases, trials))
    if cases > 1 and trials > cases:
        between = math.fsum((each - mean) ** 2 for each in shares) / (cases - 1)
        if between > 0:
            independent = mean * (1 - mean) * cases / between
            sound = min(float(trials), max(sound, independent))
    return share_interval(mean * sound, sound)
