"""Compatibility forms are Python's own, and take time that grows with the text alone."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.core.unicode_forms import BECOME_MARKS, Form, normalised, with_sorted_marks

FORMS: tuple[Form, ...] = ("NFKC", "NFKD")
LETTERS = "aé가ếﬁ\U00010a00\U0001d422"
MARKS = [
    chr(code)
    for code in range(0x300, 0x1F000)
    if not 0xD800 <= code < 0xE000
    and unicodedata.combining(unicodedata.normalize("NFKD", chr(code))[0])
]
ROWS = st.tuples(
    st.sampled_from(LETTERS),
    st.lists(st.sampled_from([*MARKS[:60], *BECOME_MARKS, *MARKS[-60:]]), max_size=80),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, max_size=4))
def test_forms_are_pythons_own(rows: list[tuple[str, list[str]]]) -> None:
    text = "".join(letter + "".join(marks) for letter, marks in rows)
    for form in FORMS:
        assert normalised(form, text) == unicodedata.normalize(form, text)


def test_every_mark_is_known() -> None:
    """A long row of it stands in order before Python, which would sort it slowly, sees it."""
    for mark in MARKS:
        row = with_sorted_marks("a" + f"\u0301{mark}" * 40)[1:]
        apart = [unicodedata.combining(char) for char in unicodedata.normalize("NFKD", mark)]
        if 0 in apart:
            continue  # it begins another row
        classes = [unicodedata.combining(char) for char in row]
        assert classes == sorted(classes), f"{ord(mark):x}"


@pytest.mark.parametrize("row", ["\u0301\u0327", "\u0f73", "\uff9e\u0301", "\U0001d165\u0301"])
def test_a_long_row_takes_no_longer_than_its_length(row: str) -> None:
    start = time.process_time()
    normalised("NFKC", "a" + row * (60_000 // len(row)))
    assert time.process_time() - start < 1.0
