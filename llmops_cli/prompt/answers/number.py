"""Numbers: 7, 7.0 and 7.00 are one, as are 1,200, 1200 and 1.2e3."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation, Overflow

from llmops_cli.prompt.answers.form import behind_marker, marked_line

NUMBER = re.compile(
    r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+(?![\w.]))?"
)
MOST_DIGITS = 400


class NumberForm:
    """Strict: the line is one number. Lenient: the last number behind the marker, or anywhere."""

    def strict(self, text: str) -> str | None:
        line = marked_line(text)
        if line is None or NUMBER.fullmatch(line) is None:
            return None
        return plain_number(line)

    def lenient(self, text: str) -> str | None:
        behind = behind_marker(text)
        if behind is not text:
            first = NUMBER.search(behind)
            if first is not None:
                return plain_number(first[0])
        found = NUMBER.findall(text)
        if not found:
            return None
        return plain_number(found[-1])

    def is_right(self, answer: str, *, question: str, expected: str) -> bool:
        wanted = NUMBER.findall(expected)
        return bool(wanted) and answer == plain_number(wanted[-1])


def plain_number(text: str) -> str:
    """One spelling of a number."""
    digits = text.replace(",", "")
    if len(digits) > MOST_DIGITS:
        return digits
    try:
        number = Decimal(digits).normalize()
    except (InvalidOperation, Overflow):
        return digits
    if abs(number.adjusted()) > MOST_DIGITS:
        return digits
    plain = format(number, "f")
    return "0" if plain in ("-0", "0") else plain
