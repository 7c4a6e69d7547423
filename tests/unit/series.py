"""Standard normal levels in order of time, whose neighbours are alike or not."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Draw = Callable[[np.random.Generator, int], np.ndarray]
SPREAD = 0.6
"""Of the logarithms of latencies that are made of them."""


def independent(rng: np.random.Generator, size: int) -> np.ndarray:
    return rng.standard_normal(size)


def autoregressive(rng: np.random.Generator, size: int) -> np.ndarray:
    """Each request's level is 0.8 of the last one's."""
    fresh = rng.standard_normal(size) * math.sqrt(1 - 0.8**2)
    fresh[0] = rng.standard_normal()
    steps = []
    level = 0.0
    for step in fresh.tolist():
        level = 0.8 * level + step
        steps.append(level)
    return np.array(steps)


def in_phases(rng: np.random.Generator, size: int) -> np.ndarray:
    """Slow and fast spells of 20 requests, longer than a block of a run of 250 or 1,000."""
    spells = np.repeat(rng.standard_normal(size // 20 + 2), 20)
    first = rng.integers(20)
    own = rng.standard_normal(size) * math.sqrt(SPREAD**2 - 0.5**2)
    return (0.5 * spells[first : first + size] + own) / SPREAD
