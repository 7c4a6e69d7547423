"""Assertions on the characters and words of an answer."""

from __future__ import annotations

import csv
import io
import re
from functools import lru_cache
from typing import Any, Protocol

from llmops_cli.prompt.case_file.suite import Check
from llmops_cli.prompt.checks.verdict import Given, Misused, Verdict, holds, text_of
from llmops_cli.prompt.transforms import as_text

MOST_SHOWN = 80


def equals(check: Check, given: Given) -> Verdict:
    """The whole text; of a mapping or a list, the JSON that the answer is."""
    import json

    value = check.value
    if isinstance(value, dict | list):
        try:
            is_same = _strictly_same(json.loads(given.text), value)
        except ValueError:
            is_same = False
        return holds(is_same, check, f"equal {shown(as_text(value))}")
    expected = _written(value)
    return holds(given.text == expected, check, f"equal {shown(expected)}")


def _strictly_same(left: Any, right: Any) -> bool:  # Any: JSON
    """1 is not true."""
    if isinstance(left, dict) and isinstance(right, dict):
        is_alike = left.keys() == right.keys()
        return is_alike and all(_strictly_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        is_alike = len(left) == len(right)
        return is_alike and all(map(_strictly_same, left, right))
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def _written(value: Any) -> str:  # Any: YAML
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def contains(check: Check, given: Given) -> Verdict:
    wanted = text_of(check)
    return holds(wanted in given.text, check, f"contain {shown(wanted)}")


def icontains(check: Check, given: Given) -> Verdict:
    wanted = text_of(check)
    is_there = wanted.lower() in given.text.lower()
    return holds(is_there, check, f"contain {shown(wanted)} in any case")


def contains_any(check: Check, given: Given) -> Verdict:
    wanted = list_of(check)
    is_there = any(each in given.text for each in wanted)
    return holds(is_there, check, f"contain one of {shown(', '.join(wanted))}")


def icontains_any(check: Check, given: Given) -> Verdict:
    wanted = list_of(check)
    text = given.text.lower()
    is_there = any(each.lower() in text for each in wanted)
    return holds(is_there, check, f"contain one of {shown(', '.join(wanted))}, in any case")


def contains_all(check: Check, given: Given) -> Verdict:
    wanted = list_of(check)
    missing = [each for each in wanted if each not in given.text]
    return holds(not missing, check, f"contain all; missing: {shown(', '.join(missing))}")


def icontains_all(check: Check, given: Given) -> Verdict:
    wanted = list_of(check)
    text = given.text.lower()
    missing = [each for each in wanted if each.lower() not in text]
    return holds(not missing, check, f"contain all; missing: {shown(', '.join(missing))}")


def starts_with(check: Check, given: Given) -> Verdict:
    wanted = text_of(check)
    return holds(given.text.startswith(wanted), check, f"start with {shown(wanted)}")


def ends_with(check: Check, given: Given) -> Verdict:
    wanted = text_of(check)
    return holds(given.text.endswith(wanted), check, f"end with {shown(wanted)}")


def regex(check: Check, given: Given) -> Verdict:
    pattern = text_of(check)
    found = compiled(pattern).search(given.text)
    return holds(found is not None, check, f"match {shown(pattern)}")


def word_count(check: Check, given: Given) -> Verdict:
    count = len(given.text.split())
    return _counted(count, check, "words")


def character_count(check: Check, given: Given) -> Verdict:
    return _counted(len(given.text), check, "characters")


def _counted(count: int, check: Check, unit: str) -> Verdict:
    """Against a number, or a mapping of min and max."""
    value = check.value
    if isinstance(value, dict):
        low = value.get("min", 0)
        high = value.get("max", count)
        are_numbers = _is_number(low) and _is_number(high)
        is_range = are_numbers and low <= value.get("max", low)
        if not value.keys() & {"min", "max"} or not is_range:
            raise Misused(f"{check.name} needs min, max or both, in this order")
        words = f"have {_range(value)} {unit}, has {count}"
        return holds(low <= count <= high, check, words)
    try:
        wanted = float(value)
    except (TypeError, ValueError):
        raise Misused(f"{check.name} needs a number, or min and max") from None
    return holds(count == wanted, check, f"have {wanted:g} {unit}, has {count}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range(value: dict[str, Any]) -> str:  # Any: YAML
    low = value.get("min")
    high = value.get("max")
    if high is None:
        return f"at least {low}"
    if low is None:
        return f"at most {high}"
    return f"{low} to {high}"


def is_refusal(check: Check, given: Given) -> Verdict:
    """By what the answer does, not by single words. An empty one gives nothing, so it refuses."""
    from llmops_cli.evaluate.compliance import is_refusal as refuses

    is_empty = not given.text.strip()
    is_so = is_empty or given.was_filtered or refuses(given.text, question=given.question)
    return holds(is_so, check, "refuse")


def list_of(check: Check) -> list[str]:
    """A list, or a text with commas. Raises: Misused."""
    value = check.value
    if isinstance(value, str):
        value = comma_separated(value)
    if not isinstance(value, list) or not value:
        raise Misused(f"{check.name} needs a list of texts")
    return [_written(each) for each in value]


def comma_separated(text: str) -> list[str]:
    """Parts between commas; quotes keep one together."""
    reader = csv.reader(io.StringIO(text.replace("\n", " ")), skipinitialspace=True)
    parts = [part.strip() for row in reader for part in row]
    return [part for part in parts if part]


def shown(text: str) -> str:
    """In quotes, and not too long."""
    if len(text) > MOST_SHOWN:
        text = text[: MOST_SHOWN - 1] + "…"
    return f"'{text}'"


class Pattern(Protocol):
    def search(self, text: str, /) -> Any: ...  # Any: a match of one of two libraries


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Pattern:
    """In linear time where the pattern allows that; it does not with look-around.

    Raises: Misused for a broken one.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)  # type: ignore[no-any-return]
    except re2.error:
        pass
    as_python = pattern.replace("(?<", "(?P<").replace("(?P<=", "(?<=").replace("(?P<!", "(?<!")
    as_python = re.sub(r"(?<!\\)\$$", r"\\Z", as_python)
    try:
        return re.compile(as_python, re.ASCII)
    except re.error as error:
        raise Misused(f"regex {shown(pattern)} is broken: {error}") from error
