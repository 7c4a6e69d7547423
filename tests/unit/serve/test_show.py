"""`llmops top` prints quantiles as Prometheus and /ui have them: a line through each bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.serve.show import quantile_ms

TPOT = [[0.0025, 0.0], [0.005, 100.0], [0.01, 100.0], ["+Inf", 100.0]]


@pytest.mark.parametrize(
    ("old", "new", "share", "told"),
    [
        ([], TPOT, 0.5, "3.8 ms"),
        ([], TPOT, 1.0, "5.0 ms"),
        ([], TPOT, 0.2, "3.0 ms"),
        (TPOT, TPOT, 0.5, "3.8 ms"),
        (TPOT, [[0.0025, 10.0], [0.005, 110.0], [0.01, 110.0], ["+Inf", 110.0]], 0.5, "1.2 ms"),
        ([], [[0.5, 0.0], ["+Inf", 4.0]], 0.5, "> 500 ms"),
        ([], [[30.0, 0.0], [60.0, 10.0], ["+Inf", 10.0]], 0.5, "45.0 s"),
        ([], [[0.5, 0.0], ["+Inf", 0.0]], 0.5, "-"),
        ([], [], 0.5, "-"),
    ],
)
def test_a_quantile_lies_inside_its_bucket(
    old: list[list[object]], new: list[list[object]], share: float, told: str
) -> None:
    assert quantile_ms(old, new, share) == told


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4), st.floats(0.01, 1))
def test_it_never_leaves_the_bucket_that_reaches_the_share(each: list[int], share: float) -> None:
    bounds_s = [0.02, 0.04, 0.08, 0.16]
    counts = [sum(each[: place + 1]) for place in range(4)]
    buckets = [[bound, count] for bound, count in zip(bounds_s, counts, strict=True)]
    told = quantile_ms([], [*buckets, ["+Inf", counts[-1]]], share)
    if not counts[-1]:
        assert told == "-"
        return
    place = next(n for n, count in enumerate(counts) if count and count >= counts[-1] * share)
    lower_ms = 1e3 * bounds_s[place - 1] if place else 0.0
    assert lower_ms - 0.5 <= float(told.removesuffix(" ms")) <= 1e3 * bounds_s[place] + 0.5
