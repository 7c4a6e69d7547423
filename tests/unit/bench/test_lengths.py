"""Token length distributions: seeded, inside their range, and of the shape asked for."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.bench.lengths import parse_lengths
from llmops_cli.core.errors import UsageError


def draw(text: int | str, count: int = 4000, seed: int = 0) -> list[int]:
    lengths = parse_lengths(text)
    rng = random.Random(seed)
    return [lengths(rng) for _ in range(count)]


@given(
    st.integers(1, 500),
    st.integers(0, 500),
    st.sampled_from(["uniform:{}-{}", "zipf:1.3,{}-{}", "zipf:1,{}-{}"]),
)
def test_draws_stay_inside_the_range(low: int, width: int, form: str) -> None:
    drawn = draw(form.format(low, low + width), 50)
    assert all(low <= length <= low + width for length in drawn)


def test_shapes() -> None:
    assert set(draw(7, 5)) == {7}
    assert statistics.fmean(draw("uniform:100-300")) == pytest.approx(200, rel=0.03)
    normal = draw("normal:500,50")
    assert statistics.fmean(normal) == pytest.approx(500, rel=0.01)
    assert statistics.stdev(normal) == pytest.approx(50, rel=0.06)
    assert statistics.median(draw("lognormal:512,0.6")) == pytest.approx(512, rel=0.05)
    zipf = draw("zipf:1.5,1-1000")
    ones = zipf.count(1)
    twos = zipf.count(2)
    assert ones > 1.8 * twos > 0  # 2 ** 1.5 = 2.8 for the discrete law
    assert max(draw("normal:10,100,5-20")) == 20
    assert min(draw("normal:10,100")) == 1


def test_the_example_of_the_help_is_read() -> None:
    assert draw("lognormal:512,.6", 20) == draw("lognormal:512,0.6", 20)


def test_a_seed_gives_the_same_lengths() -> None:
    assert draw("lognormal:512,0.6", 20, seed=3) == draw("lognormal:512,0.6", 20, seed=3)
    assert draw("lognormal:512,0.6", 20, seed=3) != draw("lognormal:512,0.6", 20, seed=4)


@pytest.mark.parametrize(
    "text", ["0", "", "many", "uniform:9-3", "uniform:0-3", "normal:5", "lognormal:0,1", "zipf:1"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_lengths(text)


def test_a_near_miss_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        parse_lengths("unifrom:1-2")
    assert caught.value.hint == "did you mean 'uniform'?"
