"""Judging takes time in proportion to the text, and little of it, whatever the text is."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.guard.check import Guard
from llmops_cli.guard.personal import find
from tests.hostile import TEXTS
from tests.pace import slowness

pytestmark = pytest.mark.quiet

SHORT = 32_000
TIMES = 4
GROWTH_MOST = 2.0 * TIMES
MS_PER_KB = 5.0
"""Of a prompt, an answer and personal data together, on a machine of usual speed."""
GUARD = Guard()


def judged(text: str) -> None:
    GUARD.check_input(text)
    GUARD.check_output(text)
    find(text)


def spent_ms(work: Callable[[str], object], text: str) -> float:
    """CPU time, the least of three: the first makes automata's states."""
    found = []
    for _ in range(3):
        start = time.process_time()
        work(text)
        found.append((time.process_time() - start) * 1000)
    return min(found)


@pytest.mark.parametrize("name", TEXTS)
def test_the_cost_of_a_hostile_text_grows_no_faster_than_the_text(name: str) -> None:
    short = TEXTS[name](SHORT)
    long = TEXTS[name](TIMES * SHORT)

    before = spent_ms(judged, short)
    after = spent_ms(judged, long)

    assert after < GROWTH_MOST * before + 5
    size_kb = len(long.encode(errors="replace")) / 1024
    assert after / size_kb < MS_PER_KB * slowness()


@settings(max_examples=20, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(TEXTS)), min_size=1, max_size=4))
def test_so_does_that_of_a_mixture(names: list[str]) -> None:
    piece = "".join(TEXTS[name](1000) for name in names)
    times = SHORT // len(piece)
    short = piece * times
    long = piece * (TIMES * times)

    assert spent_ms(judged, long) < GROWTH_MOST * spent_ms(judged, short) + 5
