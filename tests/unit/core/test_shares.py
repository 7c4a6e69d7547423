"""The share of requests that met an objective covers what it says, in spells too."""

from __future__ import annotations

import math
from collections import Counter
from statistics import NormalDist

import numpy as np
import pytest

from llmops_cli.core.sample import BLOCKS
from llmops_cli.core.shares import share_in_blocks
from llmops_cli.core.stats import share_interval
from tests.unit.series import SPREAD, Draw, autoregressive, in_phases, independent

ROUNDS = 400
SIZE = 640
TRUTH = 0.8


def interval(draw: Draw, rng: np.random.Generator) -> tuple[float, float]:
    limit = math.exp(SPREAD * NormalDist().inv_cdf(TRUTH))
    hits: Counter[int] = Counter()
    trials: Counter[int] = Counter()
    for place, value in enumerate(np.exp(SPREAD * draw(rng, SIZE)).tolist()):
        block = place * BLOCKS // SIZE
        hits[block] += value <= limit
        trials[block] += 1
    return share_in_blocks(hits, trials).ci95


@pytest.mark.parametrize(
    ("draw", "least"), [(independent, 0.92), (autoregressive, 0.9), (in_phases, 0.9)]
)
def test_a_share_is_covered_whatever_neighbours_are(draw: Draw, least: float) -> None:
    rng = np.random.default_rng(9)
    found = [interval(draw, rng) for _ in range(ROUNDS)]
    covered = sum(low <= TRUTH <= high for low, high in found) / ROUNDS
    assert least < covered < 0.995
    widths = [high - low for low, high in found]
    assert sum(widths) / ROUNDS < 0.25


def test_what_cannot_be_cut_into_blocks_is_wilsons() -> None:
    assert share_in_blocks({}, {}).ci95 == (0.0, 1.0)
    assert share_in_blocks({3: 4}, {3: 5}) == (0.8, share_interval(4, 5))
    assert share_in_blocks({0: 7, 1: 7}, {0: 7, 1: 7}) == (1.0, share_interval(14, 14))
