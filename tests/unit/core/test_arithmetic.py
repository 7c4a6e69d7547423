"""Arithmetic in text: exact, bounded, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.arithmetic import NotArithmetic, evaluate, written

numbers = st.integers(-999, 999).map(str)
expressions = st.recursive(
    numbers,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
    ),
    max_leaves=12,
)


@given(expressions)
def test_it_agrees_with_python_on_whole_numbers(text: str) -> None:
    assert evaluate(text) == eval(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1 + 0.2", "0.3"),
        ("1 / 3 * 3", "1"),
        ("2 ** 10", "1024"),
        ("-7 // 2", "-4"),
        ("7 % 4", "3"),
        ("2 ** -2", "0.25"),
        ("10 / 4", "2.5"),
        ("1/3", "0.333333333333"),
    ],
)
def test_values_are_exact_and_written_plainly(text: str, value: str) -> None:
    assert written(evaluate(text)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "1 / 0",
        "7 // 0",
        "__import__('os')",
        "x",
        "(1).real",
        "'a' * 9",
        "True + 1",
        "1j",
        "[1]",
        "1 < 2",
        "lambda: 1",
        "2 ** 99999",
        "2 ** 0.5",
        "(2 ** 999) ** 999",
        "9" * 500,
        "-" * 399 + "1e999999",
        "(" * 200 + "1" + ")" * 200,
        "1e400 ** 1000",
    ],
)
def test_what_is_none_or_beyond_the_bounds_is_refused(text: str) -> None:
    with pytest.raises(NotArithmetic):
        evaluate(text)


@given(st.text(max_size=60))
def test_any_text_gives_a_value_or_is_refused(text: str) -> None:
    with suppress(NotArithmetic):
        assert isinstance(evaluate(text), Fraction)
