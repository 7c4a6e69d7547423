"""When a vote is decided: laws, the published rule, and what it saves."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.prompt.techniques.voting import (
    Standing,
    is_decided,
    least_more,
    majority_chance,
    standing_of,
)

counts = st.integers(0, 40)


def beta_tail(a: int, b: int, steps: int = 4000) -> float:
    """The mass of Beta(a + 1, b + 1) above one half, by adding up its density."""
    points = [(i + 0.5) / steps for i in range(steps)]
    density = [x**a * (1 - x) ** b for x in points]
    return sum(density[steps // 2 :]) / sum(density)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (4, 0), (3, 2), (10, 7), (20, 19)])
def test_the_chance_is_the_posteriors_mass_above_one_half(first: int, second: int) -> None:
    assert majority_chance(first, second) == pytest.approx(beta_tail(first, second), abs=1e-4)


@given(counts, counts)
def test_the_chance_of_one_is_what_the_other_lacks(first: int, second: int) -> None:
    assert majority_chance(first, second) + majority_chance(second, first) == pytest.approx(1)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(1, 40))
def test_what_is_decided_for_sure_is_never_overtaken(votes: list[str], more: int) -> None:
    counted = {answer: float(votes.count(answer)) for answer in dict.fromkeys(votes)}
    standing = standing_of(counted)
    if not is_decided(standing, more, rule="decided", confidence=0.95):
        return
    for rival in "abcd":
        after = {**counted, rival: counted.get(rival, 0.0) + more}
        assert standing_of(after).leader == standing.leader


@given(counts, counts, st.integers(1, 40), st.sampled_from(["beta", "decided"]))
def test_what_is_asked_at_once_is_never_in_vain(
    first: int, second: int, left: int, rule: str
) -> None:
    standing = Standing("a", float(max(first, second)), float(min(first, second)))
    if is_decided(standing, left, rule=rule, confidence=0.95):
        return
    more = least_more(standing, left, rule=rule, confidence=0.95)
    assert 1 <= more <= left
    for fewer in range(1, more):
        ahead = standing._replace(first=standing.first + fewer)
        assert not is_decided(ahead, left - fewer, rule=rule, confidence=0.95)


def vote(draws: random.Random, right: float, *, rule: str) -> tuple[bool, int]:
    """Whether the right answer wins, and after how many samples; wrong ones are three."""
    counted: dict[str, float] = {}
    asked = 0
    while not is_decided(standing_of(counted), 40 - asked, rule=rule, confidence=0.95):
        wrong = draws.choice(["x", "y", "z"])
        answer = "right" if draws.random() < right else wrong
        counted[answer] = counted.get(answer, 0.0) + 1
        asked += 1
    return standing_of(counted).leader == "right", asked


def test_a_vote_that_ends_early_saves_calls_and_little_else() -> None:
    draws = random.Random(0)
    questions = [0.5 + 0.3 * draws.random() for _ in range(2000)]
    early = [vote(draws, right, rule="beta") for right in questions]
    full = [vote(draws, right, rule="never") for right in questions]
    calls = sum(asked for _, asked in early)
    assert 40 * len(questions) / calls > 3
    lost = sum(is_right for is_right, _ in full) - sum(is_right for is_right, _ in early)
    assert lost / len(questions) < 0.012
