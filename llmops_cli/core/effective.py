"""For how many independent draws values count whose neighbours in time are alike.

Neighbours share a server's state: those of one block, and those of blocks beside one another where
a slow spell is longer than a block. Shapes: B blocks, in order of time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from llmops_cli.core.ranks import Z
from llmops_cli.core.significance import t_limit

if TYPE_CHECKING:
    from numpy import ndarray

DOUBT = 1.6
"""Standard errors from which on a likeness is no chance (one-sided, 5 %)."""
MOST_LIKE = 0.8
"""Beyond it blocks drift, and nobody knows how long."""
FEWEST_FREEDOM = 3.0


def design_effect(below_B: ndarray, sizes_B: ndarray) -> float:
    """How many values tell as much as one independent draw would, at least 1.

    From how many of each block are below a value, and how many it has. The variance of a share is
    that of the sums of blocks; where those of neighbours are alike it is as much larger as in an
    autoregression of the first order. Few blocks know it badly, which Student's t allows for.
    Infinite with fewer than two blocks.
    Source: Korn & Graubard 1998; Andrews & Monahan 1992.
    """
    count = float(sizes_B.sum())
    blocks = len(sizes_B)
    if blocks < 2:
        return math.inf
    share = float(below_B.sum()) / count
    sums_B = below_B - share * sizes_B
    alone = count * share * (1 - share)
    if alone <= 0:
        return 1.0
    spread = spread_of_total(sums_B)
    effect = max(1.0, spread.variance / alone)
    if count > 2 * blocks or spread.longer > 1:  # else nearly every draw has a block of its own
        effect *= (t_limit(spread.freedom) / Z) ** 2
    return effect


class BlockSpread(NamedTuple):
    """Of the total of all blocks: its variance, and how well that is known.

    `longer`: by how much it is more than that of as many independent blocks.
    """

    variance: float
    freedom: float
    longer: float


def spread_of_total(sums_B: ndarray) -> BlockSpread:
    """From the deviations of two blocks or more, in order of time."""
    blocks = len(sums_B)
    longer = lengthening(sums_B)
    squares = float(sums_B @ sums_B)
    variance = squares * blocks / (blocks - 1) * longer
    return BlockSpread(variance, freedom_of(blocks, longer), longer)


def freedom_of(blocks: int, longer: float) -> float:
    """How many independent blocks, less one, know a variance as well."""
    return max(FEWEST_FREEDOM, (blocks - 1) / longer)


def lengthening(sums_B: ndarray) -> float:
    """By how much likeness of neighbours multiplies the variance of a total, at least 1."""
    like = _likeness(sums_B)
    return (1 + like) / (1 - like)


def _likeness(sums_B: ndarray) -> float:
    """The correlation of blocks beside one another; 0 where chance explains it.

    A sample's own is too small by (1 + 3 r) / B. Source: Marriott & Pope 1954.
    """
    blocks = len(sums_B)
    squares = float(sums_B @ sums_B)
    if squares <= 0:
        return 0.0
    seen = float(sums_B[1:] @ sums_B[:-1]) / squares
    like = seen + (1 + 3 * seen) / blocks
    if like < DOUBT / math.sqrt(blocks):
        return 0.0
    return min(like, MOST_LIKE)


def effects_of_percentiles(own: Mapping[str, float], blocks: int) -> dict[str, float]:
    """No percentile's effect below the median's, where that is no chance.

    The few values beyond a percentile show their own likeness badly: a p99 of ten requests in two
    slow spells looks like one of ten draws.
    """
    median = own["p50"]
    chance = math.sqrt(2 / max(1, blocks - 1))
    if median < 1 + DOUBT * chance:
        return dict(own)
    return {name: max(effect, median) for name, effect in own.items()}
