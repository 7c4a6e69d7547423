"""Tests in pairs are exact where they can be, and their intervals hold what was planted."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.significance import (
    clustered_share,
    mcnemar_p,
    paired_interval,
    sign_flip_p,
)
from llmops_cli.core.stats import share_interval

DIFFERENCES = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=40)


def test_mcnemar_is_the_binomial_test_of_a_fair_coin() -> None:
    assert mcnemar_p(0, 0) == 1
    assert mcnemar_p(6, 0) == 2 / 2**6
    assert math.isclose(mcnemar_p(8, 2), 2 * (1 + 10 + 45) / 2**10)


@given(DIFFERENCES)
def test_signs_of_whole_differences_are_mcnemar(differences: list[float]) -> None:
    wins = differences.count(1.0)
    losses = differences.count(-1.0)
    assert sign_flip_p(differences) == mcnemar_p(wins, losses) == mcnemar_p(losses, wins)


@given(DIFFERENCES)
def test_an_interval_holds_its_mean_and_mirrors(differences: list[float]) -> None:
    low, high = paired_interval(differences)
    mean = sum(differences) / max(1, len(differences))
    assert -1 <= low <= high <= 1
    assert low - 0.1 <= mean <= high + 0.1
    other_low, other_high = paired_interval([-each for each in differences])
    assert math.isclose(low, -other_high, abs_tol=1e-9)
    assert math.isclose(high, -other_low, abs_tol=1e-9)


def test_shares_of_repeats_are_told_apart_from_chance() -> None:
    assert sign_flip_p([0.4, 0.6, 0.2] * 6) < 0.001
    assert sign_flip_p([0.4, -0.4, 0.2, -0.2]) > 0.5


def test_repeats_of_a_case_count_for_less_than_cases() -> None:
    alike = clustered_share([1.0, 0.0] * 10, 200)
    assert alike == share_interval(10, 20)
    spread = clustered_share([0.5] * 20, 200)
    assert spread[1] - spread[0] <= alike[1] - alike[0]
    assert clustered_share([], 0) == (0.0, 1.0)


def test_intervals_of_a_difference_cover_it() -> None:
    draw = random.Random(5)
    held = 0
    for _ in range(400):
        differences = [draw.choices([1.0, 0.0, -1.0], [0.3, 0.6, 0.1])[0] for _ in range(40)]
        low, high = paired_interval(differences)
        held += low <= 0.2 <= high
    assert held / 400 > 0.92
