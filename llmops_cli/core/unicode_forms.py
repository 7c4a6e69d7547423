"""Unicode's compatibility forms, in time that grows with the text alone.

Python sorts the marks behind a letter by insertion: a hundred thousand of them, in an order that
is not theirs, take minutes.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby
from typing import Literal

Form = Literal["NFKC", "NFKD"]
ROW_CHARS = 32
"""Marks behind one letter that Python may sort; no language has as many."""
MARKS = range(0x300, 0x10000)
"""Where those lie that most texts have."""
RARE = "\U00010000-\U0001efff"
"""Old scripts: letters too. A pattern with each of their marks would be twenty times slower."""
BECOME_MARKS = "\u0f73\u0f75\u0f81\uff9e\uff9f"
"""No marks themselves, and nothing else once they are taken apart."""


def normalised(form: Form, text: str) -> str:
    """The same as Python's own."""
    return unicodedata.normalize(form, with_sorted_marks(text))


def with_sorted_marks(text: str) -> str:
    """A text with the same compatibility forms, in which long rows of marks are in their order."""
    if text.isascii() or len(text) < ROW_CHARS:
        return text
    return _long_rows().sub(_sorted, text)


def _sorted(row: re.Match[str]) -> str:
    parts = []
    for are_marks, chars in groupby(row[0], _is_mark):
        part = "".join(chars)
        parts.append(_in_order(part) if are_marks else part)
    return "".join(parts)


def _is_mark(char: str) -> bool:
    return unicodedata.combining(char) != 0 or char in BECOME_MARKS


def _in_order(marks: str) -> str:
    """Taken apart one by one, since in a row they would be sorted by Python."""
    apart = "".join([unicodedata.normalize("NFKD", mark) for mark in marks])
    return "".join(sorted(apart, key=unicodedata.combining))


@cache
def _long_rows() -> re.Pattern[str]:
    """Made for the first text that needs it, in some milliseconds."""
    marks = [chr(code) for code in MARKS if unicodedata.combining(chr(code))]
    return re.compile(f"[{''.join(marks)}{BECOME_MARKS}{RARE}]{{{ROW_CHARS},}}")
