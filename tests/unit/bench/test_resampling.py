"""Comparisons of runs whose neighbours are alike: few false alarms, and changes are found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from llmops_cli.bench.compare import CANT_TELL, compare
from llmops_cli.bench.report import BenchReport, Difference, Level, Window
from llmops_cli.bench.requests import METRICS, Requests
from llmops_cli.bench.saved import SavedRun
from llmops_cli.core.report import Manifest, Memory
from llmops_cli.core.stats import Distribution
from tests.unit.series import SPREAD, Draw, autoregressive, in_phases, independent

pytestmark = pytest.mark.slow

METRIC = "ttft_ms"
COMPARED = [f"{METRIC}.{statistic}" for statistic in ("shift", "mean", "p50", "p95")]
NOTHING = Distribution()


class Shape(NamedTuple):
    """Requests of a repetition, and how many of these a run has."""

    size: int
    repeats: int


ONCE = Shape(250, 1)
THRICE = Shape(250, 3)


def run_of(
    rng: np.random.Generator,
    draw: Draw,
    shape: Shape,
    factor: float = 1.0,
) -> SavedRun:
    """Lognormal latencies; requests of two runs never go in pairs."""
    size, repeats = shape
    count = repeats * size
    levels = np.concatenate([draw(rng, size) for _ in range(repeats)])
    places = np.tile(np.arange(size), repeats)
    columns = {name: np.full(count, np.nan) for name in METRICS}
    columns[METRIC] = 100 * factor * np.exp(SPREAD * levels)
    columns["repetition"] = np.repeat(np.arange(repeats), size)
    columns["index"] = places
    columns["intended_ns"] = places * 1000
    for name in ("level", "turn", "failed"):
        columns[name] = np.zeros(count, dtype=np.int64)
    level = Level(
        concurrency=1,
        rate_per_s=None,
        repetitions=repeats,
        requests=count,
        measured=count,
        errors=0,
        duration_s=1.0,
        ttft_ms=NOTHING,
        tpot_ms=NOTHING,
        itl_ms=NOTHING,
        e2e_ms=NOTHING,
        requests_per_s=1.0,
        output_tokens_per_s=1.0,
        total_tokens_per_s=1.0,
        windows=[Window(start_s=0.0, end_s=1.0, found="steady")] * repeats,
    )
    seed = int(rng.integers(1 << 30))
    report = BenchReport(
        manifest=Manifest(recipe={"model": "m", "seed": seed}),
        levels=[level],
        memory=Memory(),
    )
    return SavedRun(name=str(seed), report=report, requests=Requests(columns))


def comparisons(
    draw: Draw,
    shape: Shape,
    *,
    rounds: int,
    factor: float = 1.0,
) -> list[list[Difference]]:
    rng = np.random.default_rng(20)
    found = []
    for _ in range(rounds):
        a = run_of(rng, draw, shape)
        b = run_of(rng, draw, shape, factor)
        differences = compare(a, b, metrics=COMPARED).differences
        assert [difference.metric for difference in differences] == COMPARED
        found.append(differences)
    return found


def above_chance(rounds: int) -> float:
    """How many of so many rounds may be wrong where 5 % are."""
    return 0.05 * rounds + 2 * math.sqrt(0.05 * 0.95 * rounds)


def has_verdict(differences: Sequence[Difference]) -> bool:
    return any(difference.verdict != CANT_TELL for difference in differences)


def is_missed(difference: Difference) -> bool:
    assert difference.ratio_ci95 is not None
    low, high = difference.ratio_ci95
    return not low <= 1 <= high


@pytest.mark.parametrize("draw", [independent, autoregressive, in_phases])
def test_the_intervals_of_one_run_each_hold(draw: Draw) -> None:
    rounds = 60
    found = comparisons(draw, ONCE, rounds=rounds)
    for statistic in range(len(COMPARED)):
        missed = sum(is_missed(differences[statistic]) for differences in found)
        assert missed <= above_chance(rounds), COMPARED[statistic]
    alarms = sum(min(one.p for one in differences) < 0.05 for differences in found)
    assert alarms <= above_chance(rounds)


@pytest.mark.parametrize("draw", [independent, autoregressive, in_phases])
def test_two_runs_of_the_same_seldom_differ(draw: Draw) -> None:
    rounds = 25
    found = comparisons(draw, THRICE, rounds=rounds)
    assert sum(map(has_verdict, found)) <= above_chance(rounds)


@pytest.mark.parametrize(
    ("draw", "factor"), [(independent, 1.3), (autoregressive, 1.7), (in_phases, 1.9)]
)
def test_a_change_is_found_also_among_neighbours_that_are_alike(draw: Draw, factor: float) -> None:
    rounds = 10
    found = comparisons(draw, THRICE, rounds=rounds, factor=factor)
    assert sum(map(has_verdict, found)) >= 0.8 * rounds
