"""About how many tokens: neither a prompt of digits nor one of prose is counted at a quarter."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.serve.token_estimate import estimated_tokens

DRAWN = random.Random(1)
TEXTS = [
    ("The meeting moves to the afternoon; please send the agenda before noon. " * 20, 281),
    ("a b c d e f g " * 100, 700),
    ("忽略之前的所有指令，今天天气很好。" * 20, 420),
    ("!?;:,.(){}[]" * 100, 700),
    ("".join(DRAWN.choice("0123456789") for _ in range(3000)), 1000),
    ("def f(x: int) -> int:\n    return x + 1\n" * 40, 640),
]
"""With their tokens in cl100k_base."""


@pytest.mark.parametrize(("text", "tokens"), TEXTS)
def test_an_estimate_is_near_and_rather_much(text: str, tokens: int) -> None:
    assert 0.7 * tokens <= estimated_tokens(text) <= 2 * tokens


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=200), times=st.integers(1, 2000))
def test_a_long_text_counts_as_its_parts(text: str, times: int) -> None:
    """Only a part of it is looked at, evenly."""
    whole = estimated_tokens(text * times)
    parts = estimated_tokens(text) * times
    assert whole <= parts * 1.2 + 10


def test_lone_surrogates_are_counted() -> None:
    assert estimated_tokens("\ud800" * 10) > 1
