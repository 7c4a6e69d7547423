"""Intended times: seeded, rising, and of the rate and burstiness asked for."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.bench.arrivals import Load, due_times_s, loads_of
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.core.errors import UsageError


def rate(per_s: float, **fields: object) -> Load:
    return Load(kind="rate", label="x", rate_per_s=per_s, **{"duration_s": 100.0, **fields})  # type: ignore[arg-type]


@given(st.floats(0.5, 50), st.sampled_from(["poisson", "constant", "gamma"]), st.integers(0, 99))
def test_times_rise_are_seeded_and_end_in_time(per_s: float, process: str, seed: int) -> None:
    load = rate(per_s, process=process, burstiness=0.4, duration_s=10.0)
    times = list(due_times_s(load, str(seed)))
    assert times == sorted(times) == list(due_times_s(load, str(seed)))
    assert times[0] == 0
    assert times[-1] < 10


@pytest.mark.parametrize(
    ("process", "burstiness", "spread"),
    [("constant", 1, 0), ("poisson", 1, 1), ("gamma", 0.25, 2), ("gamma", 4, 0.5)],
)
def test_rate_and_burstiness(process: str, burstiness: float, spread: float) -> None:
    times = list(
        due_times_s(rate(20, process=process, burstiness=burstiness, duration_s=400.0), "7")
    )
    gaps = [b - a for a, b in pairwise(times)]
    assert len(times) / 400 == pytest.approx(20, rel=0.08)
    # a gamma law of shape k has a coefficient of variation of 1 / sqrt(k)
    assert statistics.stdev(gaps) / statistics.fmean(gaps) == pytest.approx(
        spread, rel=0.1, abs=1e-9
    )


def test_a_ramp_sends_its_mean_rate_and_more_at_its_end() -> None:
    load = Load(
        kind="ramp", label="x", rate_per_s=2, ramp_to_per_s=18, duration_s=60, process="constant"
    )
    times = list(due_times_s(load, "0"))
    assert len(times) == pytest.approx(600, abs=2)
    assert sum(t < 30 for t in times) == pytest.approx(30 * 6, abs=2)


def test_steps_hold_their_rates() -> None:
    (load,) = loads_of(BenchRecipe(steps=["2x10", "8x5s"], arrival="constant"))
    times = list(due_times_s(load, "0"))
    assert (sum(t < 10 for t in times), sum(t >= 10 for t in times)) == (20, 40)
    assert times[-1] < 15


def test_a_burst_is_all_at_once() -> None:
    (load,) = loads_of(BenchRecipe(burst=5))
    assert list(due_times_s(load, "0")) == [0.0] * 5


def test_the_recipe_makes_the_levels() -> None:
    assert [load.concurrency for load in loads_of(BenchRecipe())] == [1, 4, 16]
    assert [load.label for load in loads_of(BenchRecipe(rate=[2, 0.5]))] == ["2/s", "0.5/s"]
    assert loads_of(BenchRecipe(rate=[2], burstiness=0.3))[0].process == "gamma"
    with pytest.raises(UsageError, match="two loads"):
        loads_of(BenchRecipe(rate=[2], burst=3))


@pytest.mark.parametrize(
    "fields", [{"ramp": "5"}, {"ramp": "5-0"}, {"steps": ["2 for 10"]}, {"steps": ["0x10"]}]
)
def test_nonsense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        loads_of(BenchRecipe(**fields))  # type: ignore[arg-type]
