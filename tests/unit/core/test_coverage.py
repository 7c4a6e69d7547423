"""Intervals hold what they say: simulations against truths that are known by formula.

A thousand and more samples of each size, so that chance moves a share by half a percent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pytest

from llmops_cli.core.ranks import rank_limits, size_for_interval
from llmops_cli.core.sample import BLOCKS, Sample
from llmops_cli.core.stats import QUANTILES, samples_needed
from tests.unit.series import SPREAD, Draw, autoregressive, in_phases, independent

pytestmark = pytest.mark.slow

SAMPLES = 2000
LEAST = 0.92
MOST = 0.98


class Latencies(NamedTuple):
    """A distribution by its inverse: the quantile of a share."""

    name: str
    quantile: Callable[[np.ndarray], np.ndarray]


def lognormal(share: np.ndarray) -> np.ndarray:
    normal = NormalDist()
    return np.exp(0.5 * np.vectorize(normal.inv_cdf)(share))


def bimodal(share: np.ndarray) -> np.ndarray:
    """Seven of ten take 1 to 2, the others 10 to 12: a cache that hits, or not."""
    return np.where(share < 0.7, 1 + share / 0.7, 10 + 2 * (share - 0.7) / 0.3)


def heavy_tailed(share: np.ndarray) -> np.ndarray:
    """Pareto's, with a variance that is hardly finite."""
    return (1 - share) ** (-1 / 2.2)


SHAPES = (
    Latencies("lognormal", lognormal),
    Latencies("bimodal", bimodal),
    Latencies("heavy-tailed", heavy_tailed),
)


def sizes_of(share: float) -> Iterator[int]:
    """Every size at first, where whole ranks are coarse, then steps of a tenth."""
    size = size_for_interval(share)
    coarse = size + 20
    while size < 1500:
        yield size
        size = size + 1 if size < coarse else math.ceil(size * 1.1)


def at_rank(ordered: np.ndarray, rank: float) -> np.ndarray:
    below = math.floor(rank) - 1
    above = min(below + 1, ordered.shape[1] - 1)
    part = rank - math.floor(rank)
    return ordered[:, below] * (1 - part) + ordered[:, above] * part


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
@pytest.mark.parametrize("name", QUANTILES)
def test_ranks_cover_a_quantile_at_every_size_that_bounds_it(shape: Latencies, name: str) -> None:
    share = QUANTILES[name] / 100
    truth = shape.quantile(np.array([share]))[0]
    rng = np.random.default_rng(7)
    for size in sizes_of(share):
        # uniform draws in order, by the sums of exponential ones: no sorting
        steps = rng.standard_exponential((SAMPLES, size + 1))
        sums = np.cumsum(steps, axis=1)
        near = np.arange(size)
        limits = rank_limits(share, size)
        assert limits is not None
        low, high = limits
        wanted = (near >= math.floor(low) - 1) & (near <= math.ceil(high))
        first = int(np.argmax(wanted))
        uniform = sums[:, :-1][:, wanted] / sums[:, -1:]
        values = shape.quantile(uniform)
        lows = at_rank(values, low - first)
        highs = at_rank(values, high - first)
        covered = float(np.mean((lows <= truth) & (truth <= highs)))
        assert LEAST < covered < MOST, (size, covered)
    assert rank_limits(share, size_for_interval(share) - 1) is None


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_a_samples_intervals_cover_and_are_told_of_enough_only(shape: Latencies) -> None:
    rng = np.random.default_rng(11)
    told: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    truths = {name: shape.quantile(np.array([q / 100]))[0] for name, q in QUANTILES.items()}
    for size in (9, 20, 39, 80, 90, 400):
        for _ in range(120):
            values = shape.quantile(rng.random(size)).tolist()
            sample = Sample()
            for place, value in enumerate(values):
                sample.add(value, place * min(BLOCKS, size) // size)
            found = sample.distribution()
            for name in truths:
                assert (getattr(found, name) is None) == (size < samples_needed(name))
                assert found.missing.get(name, 0) == max(0, samples_needed(name) - size)
            for name, (low, high) in found.ci95.items():
                told[name] += 1
                covered[name] += low <= truths[name] <= high
    assert set(told) == set(QUANTILES)
    for name, count in told.items():
        slack = 3 * math.sqrt(0.05 * 0.95 / count)
        assert LEAST - slack < covered[name] / count < MOST + slack, (name, covered[name], count)


def test_neighbours_that_are_alike_count_for_fewer() -> None:
    """A server that stalls now and then: whole blocks of requests are slow together."""
    rng = np.random.default_rng(3)
    covered = 0
    rounds = 300
    for _ in range(rounds):
        sample = Sample()
        for block, stall in enumerate(rng.lognormal(0, 0.5, BLOCKS).tolist()):
            for value in rng.lognormal(0, 0.1, 10).tolist():
                sample.add(stall * value, block)
        low, high = sample.distribution().ci95["p50"]
        covered += low <= 1.0 <= high
    assert LEAST < covered / rounds < MOST + 0.01


ROUNDS = 300


class Series(NamedTuple):
    """Standard normal levels in time order. `told`: at least, in how many of 100 runs."""

    draw: Draw
    size: int
    told: dict[str, int]


SERIES = {
    "independent-80": Series(independent, 80, {"p50": 99, "p90": 95, "p95": 65}),
    "independent-500": Series(independent, 500, {"p50": 99, "p90": 99, "p95": 99, "p99": 70}),
    "autoregressive-250": Series(autoregressive, 250, {"p50": 99, "p90": 20}),
    "autoregressive-1000": Series(autoregressive, 1000, {"p50": 99, "p90": 99, "p95": 90}),
    "phases-250": Series(in_phases, 250, {"p50": 95}),
    "phases-1000": Series(in_phases, 1000, {"p50": 99, "p90": 90, "p95": 35}),
    "phases-4000": Series(in_phases, 4000, {"p50": 99, "p90": 99, "p95": 99, "p99": 50}),
}


@pytest.mark.parametrize("series", SERIES.values(), ids=SERIES)
def test_spells_longer_than_a_block_are_covered_or_not_told(series: Series) -> None:
    rng = np.random.default_rng(77)
    normal = NormalDist()
    told: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    for _ in range(ROUNDS):
        levels = series.draw(rng, series.size)
        sample = Sample()
        for place, value in enumerate(np.exp(SPREAD * levels).tolist()):
            sample.add(value, place * BLOCKS // series.size)
        for name, (low, high) in sample.distribution().ci95.items():
            truth = math.exp(SPREAD * normal.inv_cdf(QUANTILES[name] / 100))
            told[name] += 1
            covered[name] += low <= truth <= high
    for name, count in told.items():
        assert count - covered[name] < 0.09 * ROUNDS, (name, covered[name], count)
    for name, least in series.told.items():
        assert told[name] >= least * ROUNDS / 100, (name, told[name])
        assert covered[name] / told[name] > 0.90, (name, covered[name], told[name])
