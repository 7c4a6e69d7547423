"""How answers are read: strictly where they were asked for, leniently where they are meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.answers.form import Reading, read_answer
from llmops_cli.prompt.answers.table import ANSWERS, answer_form


@pytest.mark.parametrize(
    ("form", "text", "strict", "lenient"),
    [
        ("number", "Answer: 42", "42", "42"),
        ("number", "42", "42", "42"),
        ("number", "3 + 4 = 7\nAnswer: 7.0", "7", "7"),
        ("number", "It is 1,200.", None, "1200"),
        ("number", "**Answer:** 5 apples, not 6", None, "5"),
        ("number", "So 3 and then 12 or so", None, "12"),
        ("number", "Answer: 3\nAnswer: 4", "4", "4"),
        ("number", "Answer: -0", "0", "0"),
        ("number", "Answer: about 7", None, "7"),
        ("number", "nothing", None, None),
        ("number", "Answer: 3e5", "300000", "300000"),
        ("number", "about 3e5x", None, "5"),
        ("number", "", None, None),
        ("letter", "Answer: B", "B", "B"),
        ("letter", "Answer: (c)", "C", "C"),
        ("letter", "I think (D) is right", None, "D"),
        ("letter", "answer: B, because A is wrong", None, "B"),
        ("letter", "The best is C because it fits", None, "C"),
        ("letter", "no idea", None, None),
        ("text", "Steps\nAnswer: Paris", "Paris", "paris"),
        ("text", "Steps\nanswer: *The Paris*.", None, "paris"),
        ("text", "One\nTwo words", None, "two words"),
        (
            "expression",
            "Answer: (13 - 9) * (10 - 4) = 24",
            "(13 - 9) * (10 - 4)",
            "(13 - 9) * (10 - 4)",
        ),
        ("expression", "We find (13-9)*(10-4) = 24", None, "(13-9)*(10-4)"),
        ("expression", "Answer: import os", None, None),
    ],
)
def test_both_readings(form: str, text: str, strict: str | None, lenient: str | None) -> None:
    assert read_answer(answer_form(form), text) == Reading(strict=strict, lenient=lenient)


@pytest.mark.parametrize(
    ("form", "answer", "question", "expected", "is_right"),
    [
        ("number", "18", "", "She has 18", True),
        ("number", "18", "", "Steps 20 - 2\n#### 18", True),
        ("number", "1200", "", "1,200.00", True),
        ("number", "18", "", "19", False),
        ("number", "0.00001", "", "1e-05", True),
        ("number", "-5", "", "1e-05", False),
        ("number", "10000000000000000", "", "1e+16", True),
        ("number", "1", "", "1e999999999", False),
        ("letter", "B", "", "(b)", True),
        ("text", "paris", "", "Paris", True),
        ("text", "Paris", "", "Paris", True),
        ("text", "PARIS", "", "Paris", False),
        ("expression", "(13-9)*(10-4)", "4 9 10 13", "24", True),
        ("expression", "4*6", "4 9 10 13", "24", False),
        ("expression", "24", "4 9 10 13", "24", False),
        ("expression", "(13-9)*(10-4)*1", "4 9 10 13", "24", False),
    ],
)
def test_what_counts_as_right(
    form: str, answer: str, question: str, expected: str, is_right: bool
) -> None:
    found = answer_form(form).is_right(answer, question=question, expected=expected)
    assert found is is_right


@given(st.sampled_from(sorted(ANSWERS)), st.text())
def test_any_text_can_be_read_and_judged(name: str, text: str) -> None:
    form = answer_form(name)
    reading = read_answer(form, text)
    for answer in (reading.strict, reading.lenient):
        if answer is not None:
            form.is_right(answer, question=text, expected=text)


@given(st.integers(-(10**12), 10**12))
def test_a_number_in_the_declared_form_is_read_strictly(number: int) -> None:
    form = answer_form("number")
    for spelled in (str(number), f"{number:,}", f"{number}.0"):
        assert read_answer(form, f"so\nAnswer: {spelled}").strict == str(number)


def test_an_unknown_form_gets_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        answer_form("numbr")
    assert caught.value.hint == "did you mean 'number'?"
