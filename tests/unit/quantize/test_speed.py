"""A speed is a median with an interval, and says when it should not be compared."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.quantize.cells import speed_text
from llmops_cli.quantize.report import Served
from llmops_cli.quantize.speed import is_enough, measure_speed, median_interval, summarize_speeds

AT = "2026-11-27T13:00:00+00:00"


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=40))
def test_the_interval_holds_the_median_and_lies_within_the_range(values: list[float]) -> None:
    low, high = median_interval(values)
    ordered = sorted(values)
    assert ordered[0] <= low <= ordered[(len(ordered) - 1) // 2]
    assert ordered[len(ordered) // 2] <= high <= ordered[-1]


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    draw = random.Random(0)
    held = 0
    for _ in range(2000):
        low, high = median_interval([draw.expovariate(1) for _ in range(15)])
        held += low <= 0.6931 <= high
    assert held / 2000 >= 0.95


def test_one_slow_repeat_does_not_make_the_speed() -> None:
    speed = summarize_speeds([41.0, *[5900.0 + i for i in range(20)]], other_load=0, measured_at=AT)
    assert speed.tokens_per_s > 5900
    assert speed.invalid_reasons == []


def test_repeats_that_differ_do_not_count() -> None:
    speed = summarize_speeds([41.0, 5977.0, 300.0], other_load=0, measured_at=AT)
    (reason,) = speed.invalid_reasons
    assert "3 repeats" in reason


def test_a_machine_that_works_on_something_else_does_not_count() -> None:
    speed = summarize_speeds([100.0] * 7, other_load=0.9, measured_at=AT)
    assert speed.invalid_reasons == ["90% of the machine worked on something else"]


def test_a_slow_model_is_asked_three_times_and_a_fast_one_for_two_seconds() -> None:
    assert not is_enough(2, 600)
    assert is_enough(3, 31)
    assert not is_enough(7, 0.1)
    assert is_enough(7, 2.1)
    assert is_enough(25, 0.2)


def test_it_is_measured_more_than_once() -> None:
    speed = measure_speed(lambda: 100.0)
    assert speed.repeats == 25
    assert speed.interval == (100.0, 100.0)
    assert speed.measured_at


@pytest.mark.parametrize(
    ("served", "text"),
    [
        (None, "-"),
        (Served(engine="x", says="y"), "-"),
        (Served(engine="x", says="y", output_tokens_per_s=41.0), "41?"),
        (
            Served(
                engine="x",
                says="y",
                output_tokens_per_s=1000.0,
                output_tokens_per_s_interval=(970.0, 1030.0),
                measured_at=AT,
            ),
            "1,000±3%",
        ),
    ],
)
def test_the_table_shows_what_a_speed_is_worth(served: Served | None, text: str) -> None:
    assert speed_text(served) == text


def test_a_speed_without_time_or_repeats_is_measured_again() -> None:
    assert not Served(engine="x", says="y", output_tokens_per_s=41.0).has_valid_speed
