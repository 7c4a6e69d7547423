"""What a form of answers is.

Strict: the answer stands where the model was told to write it, in the form it was told. Lenient:
what a kind reader would take for the answer. A report has both, since either may decide a score.
"""

from __future__ import annotations

import re
from typing import Protocol

import msgspec

MARKER = "Answer:"
MARKED = re.compile(r"^[ \t]*\**answer\**[ \t]*:[ \t]*\**[ \t]*", re.IGNORECASE | re.MULTILINE)
STRICTLY_MARKED = re.compile(r"^Answer:[ \t]*(?P<rest>\S.*?)[ \t]*$", re.MULTILINE)
INSTRUCTION = f"End with a line `{MARKER} ...` that holds the answer alone."


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """None where nothing can be read in that way."""

    strict: str | None = None
    lenient: str | None = None


class AnswerForm(Protocol):
    """One kind of answer. Two equal answers have equal texts after reading."""

    def strict(self, text: str) -> str | None:
        """The answer on the line that was asked for, or in a text that is nothing else."""
        ...

    def lenient(self, text: str) -> str | None:
        """The answer that is probably meant."""
        ...

    def is_right(self, answer: str, *, question: str, expected: str) -> bool:
        """Whether an answer that was read is the expected one."""
        ...


def read_answer(form: AnswerForm, text: str) -> Reading:
    """Both readings."""
    strict = form.strict(text)
    return Reading(strict=strict, lenient=form.lenient(text) or strict)


def marked_line(text: str) -> str | None:
    """What stands behind the marker on the text's last line that has one, or the only line."""
    stripped = text.strip()
    marked = list(STRICTLY_MARKED.finditer(stripped))
    if marked:
        return marked[-1]["rest"]
    if stripped and "\n" not in stripped:
        return stripped
    return None


def behind_marker(text: str) -> str:
    """What stands behind the last marker in any spelling; the whole text without one."""
    found = list(MARKED.finditer(text))
    if not found:
        return text
    return text[found[-1].end() :]
