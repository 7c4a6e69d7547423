"""Laws of the percentiles and agreement with a library that people trust."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.stats import percentile, summarize

values = st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=200)


@given(values, st.floats(0, 100))
def test_agrees_with_numpy(samples: list[float], q: float) -> None:
    assert percentile(sorted(samples), q) == pytest.approx(float(np.percentile(samples, q)), rel=1e-9, abs=1e-6)


@given(values)
def test_percentiles_are_ordered_and_inside_the_samples(samples: list[float]) -> None:
    found = summarize(samples)
    assert min(samples) <= found.p50 <= found.p95 <= found.p99 <= max(samples)


def test_no_samples_give_no_numbers() -> None:
    assert summarize([]).p50 is None
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
