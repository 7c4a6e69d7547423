"""A near name is told where that takes a moment."""

from __future__ import annotations

import time

import pytest

from llmops_cli.serve.near_name import near_name


def test_the_name_that_was_meant_is_told() -> None:
    known = [f"vendor/model-{number}b-instruct" for number in range(300)]
    assert near_name("vendor/model-7b-instuct", known) == "did you mean 'vendor/model-7b-instruct'?"
    assert near_name("x", []) is None


@pytest.mark.parametrize("known", [["ab" * 64] * 500, [f"{n:04}{'ab' * 30}" for n in range(9999)]])
def test_nobody_waits_for_a_name(known: list[str]) -> None:
    """Half a second for each request with a wrong name, where an upstream lists many."""
    start = time.process_time()
    near_name("ab" * 63, known)
    assert time.process_time() - start < 0.05
