"""How sure the ratio of a statistic of two runs is, by drawing their blocks of time again.

Blocks are drawn as if they were independent. By how much more a statistic varies where a slow spell
is longer than a block, what each block adds to it tells (core.effective).
Shapes: n requests, B blocks, R resamples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmops_cli.bench.shift import Uncertainty
from llmops_cli.bench.sides import Side, Sides
from llmops_cli.core.effective import freedom_of, lengthening
from llmops_cli.core.sample import block_draws, block_weights, resample
from llmops_cli.core.stats import QUANTILES, STATISTICS, percentile

if TYPE_CHECKING:
    from numpy import ndarray

RESAMPLES = 2000
RESAMPLES_AT_ONCE = 200
TINY = 1e-9
MEDIAN = "p50"


def errors_within(sides: Sides) -> dict[str, Uncertainty]:
    """Of the log ratio of each statistic, as the runs themselves show it."""
    import numpy as np

    baseline = sides.baseline
    current = sides.current
    side_a = block_weights(baseline.values, baseline.blocks)
    side_b = block_weights(current.values, current.blocks)
    blocks = min(len(side_a[1]), len(side_b[1]))
    ratios = _drawn_ratios(side_a, side_b, is_paired=sides.is_paired)
    longer = _lengthenings(sides)
    found = {}
    for name, parts in ratios.items():
        drawn = np.concatenate(parts)
        independent = float(np.std(drawn, ddof=1))
        error = independent * math.sqrt(longer[name])
        found[name] = Uncertainty(error, freedom_of(blocks, longer[name]))
    return found


def _drawn_ratios(
    side_a: tuple[ndarray, ndarray],
    side_b: tuple[ndarray, ndarray],
    *,
    is_paired: bool,
) -> dict[str, list[ndarray]]:
    """The log ratio of each statistic in each draw. In pairs both sides draw the same blocks."""
    import numpy as np

    rng = np.random.default_rng(0)
    count_a = len(side_a[1])
    count_b = len(side_b[1])
    ratios: dict[str, list[ndarray]] = {name: [] for name in STATISTICS}
    for _ in range(RESAMPLES // RESAMPLES_AT_ONCE):
        draws_a = block_draws(rng, count_a, RESAMPLES_AT_ONCE)
        draws_b = draws_a
        if not is_paired:
            draws_b = block_draws(rng, count_b, RESAMPLES_AT_ONCE)
        stats_a = resample(*side_a, draws_a)
        stats_b = resample(*side_b, draws_b)
        for name in STATISTICS:
            below = np.maximum(stats_a[name], TINY)
            above = np.maximum(stats_b[name], TINY)
            log_ratio = np.log(above / below)
            ratios[name].append(log_ratio)
    return ratios


def _lengthenings(sides: Sides) -> dict[str, float]:
    """By how much the variance of each statistic is more than that of independent blocks.

    None is below the median's: the few values of a tail do not show that they came in spells.
    """
    sums_a = _sums(sides.baseline)
    sums_b = _sums(sides.current)
    found = {}
    for name in STATISTICS:
        if sides.is_paired:
            found[name] = lengthening(sums_b[name] - sums_a[name])
        else:
            found[name] = max(lengthening(sums_a[name]), lengthening(sums_b[name]))
    least = found[MEDIAN]
    return {name: max(longer, least) for name, longer in found.items()}


def _sums(side: Side) -> dict[str, ndarray]:
    """What each block (B,) adds to a statistic's deviation from its value."""
    import numpy as np

    values = side.values
    blocks = side.blocks
    ordered = np.sort(values)
    mean = max(float(values.mean()), TINY)
    found = {"mean": np.bincount(blocks, weights=values / mean - 1)}
    for name, q in QUANTILES.items():
        limit = percentile(ordered, q)  # type: ignore[arg-type]
        is_below = values <= limit
        found[name] = np.bincount(blocks, weights=is_below - is_below.mean())
    return found
