"""Laws of the percentiles, agreement with a library that people trust, and intervals that cover."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.histogram import key_of, keys_of, value_of
from llmops_cli.core.sample import EXACT_VALUES, Sample
from llmops_cli.core.significance import holm, t_limit, two_sided_p
from llmops_cli.core.stats import percentile, share_interval, summarize

values = st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=200)


@given(values, st.floats(0, 100))
def test_agrees_with_numpy(samples: list[float], q: float) -> None:
    assert percentile(sorted(samples), q) == pytest.approx(
        float(np.percentile(samples, q)), rel=1e-9, abs=1e-6
    )


@given(values)
def test_percentiles_are_ordered_and_inside_the_samples(samples: list[float]) -> None:
    found = summarize(samples)
    assert min(samples) <= found.p50 <= found.p90 <= found.p95 <= found.p99 <= max(samples)


def test_no_samples_give_no_numbers() -> None:
    assert summarize([]).p50 is None
    assert Sample().distribution().count == 0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@given(st.floats(1e-5, 1e9))
def test_a_bucket_is_within_a_quarter_of_a_percent(value: float) -> None:
    assert value_of(key_of(value)) == pytest.approx(value, rel=0.0026)


@given(st.lists(st.integers(0, 10**10), max_size=30), st.floats(1e-7, 1e-5))
def test_many_keys_are_the_keys_of_each(numbers: list[int], scale: float) -> None:
    for number, key in zip(numbers, keys_of(numbers, scale), strict=True):
        assert abs(key - key_of(number * scale)) <= 1  # a border may round to either side


def test_a_sample_is_exact_until_it_is_large_and_close_after() -> None:
    rng = random.Random(0)
    numbers = [rng.lognormvariate(3, 1) for _ in range(EXACT_VALUES + 20_000)]
    small = Sample()
    large = Sample()
    for i, number in enumerate(numbers):
        large.add(number, i % 64)
        if i < 1000:
            small.add(number, i % 64)
    exact = summarize(numbers[:1000])
    found = small.distribution()
    assert (found.mean, found.p50, found.p99, found.min, found.max, found.count) == (
        exact.mean,
        exact.p50,
        exact.p99,
        exact.min,
        exact.max,
        1000,
    )
    whole = summarize(numbers)
    close = large.distribution()
    assert close.mean == pytest.approx(whole.mean, rel=1e-6)
    assert close.p95 == pytest.approx(whole.p95, rel=0.006)
    assert (close.min, close.max, close.count) == (whole.min, whole.max, len(numbers))


def test_shares_and_p_values() -> None:
    assert share_interval(0, 0) == (0.0, 1.0)
    low, high = share_interval(5, 10)
    assert (low, high) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
    # quantiles of Student's t from any table
    for df, limit in ((5, 2.571), (10, 2.228), (30, 2.042)):
        assert t_limit(df) == pytest.approx(limit, rel=0.004)
        assert two_sided_p(limit, 1, df) == pytest.approx(0.05, abs=0.001)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_no_share_is_surely_above_none_or_below_all() -> None:
    """As rounding has it, `error_rate > 0%` failed of 0 errors in 250 requests."""
    for total in range(1, 1000):
        assert share_interval(0, total)[0] == 0.0
        assert share_interval(total, total)[1] == 1.0


@given(st.lists(st.floats(0, 1), max_size=20))
def test_adjusted_p_values_only_grow_and_keep_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


@pytest.mark.parametrize("error", [0.0, 1e-17, 1.0])
def test_what_differs_by_rounding_does_not_differ(error: float) -> None:
    assert two_sided_p(-3e-16, error, 9) == 1.0
    assert two_sided_p(0.5, error, 9) < 1.0
