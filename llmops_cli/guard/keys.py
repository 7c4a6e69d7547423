"""Keys in a text by their providers' forms: cheaper than all that a guard looks for.

As they were copied, also behind escapes: who writes one in other letters wants to be told by a
guard, not by this.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from llmops_cli.guard.automata import without_surrogates
from llmops_cli.guard.context import Span
from llmops_cli.guard.credentials import entropy
from llmops_cli.guard.escapes import has_marks, taken_by, unescaped
from llmops_cli.guard.recognisers import key_recognisers

EXAMPLE = "example"
"""Providers' manuals have it in keys that open nothing."""
SEPARATORS = re.compile("[-_.:/=]")
NUMBER_CHARS = 16
BITS_LEAST = 2.5
"""Per character of a key that was drawn by chance; sixteen hexadecimal digits have 3 on average."""


class KeyInText(NamedTuple):
    """`form`: whose keys look so, such as openai. `key`: without escapes, which `span` may have."""

    form: str
    key: str
    span: Span


def may_hold_keys(text: str) -> bool:
    """False for nearly all texts that have none, after one look at them."""
    text = without_surrogates(text)
    return has_marks(text) or key_recognisers().may_hold(text)


def keys_in(text: str) -> Iterator[KeyInText]:
    """Each where it stands, by the first form that fits; none that was never drawn by chance."""
    text = without_surrogates(text)
    meant = unescaped(text)
    if meant is None:
        yield from _in_reading(text)
        return
    found = [
        each._replace(span=meant.span_in_source(each.span)) for each in _in_reading(meant.text)
    ]
    yield from found
    taken = taken_by((each.span for each in found), len(text))
    yield from (each for each in _in_reading(text) if taken.find(1, *each.span) < 0)


def _in_reading(text: str) -> Iterator[KeyInText]:
    recognisers = key_recognisers()
    if not recognisers.may_hold(text):
        return
    taken = bytearray(len(text))
    for index in recognisers.signs.match(text):
        recogniser = recognisers.known[index]
        for match in recogniser.pattern.finditer(text):
            span = recogniser.check(match)
            if span is None or taken.find(1, *span) >= 0:
                continue
            start, end = span
            taken[start:end] = b"\1" * (end - start)
            if is_drawn(text[start:end]):
                yield KeyInText(recogniser.rule, text[start:end], span)


def is_drawn(key: str) -> bool:
    """By chance, as far as it looks: no name of a metric, no example, no row of one letter."""
    if EXAMPLE in key.lower() or entropy(key) < BITS_LEAST:
        return False
    return not (key.islower() or key.isupper()) or any(map(_is_number, SEPARATORS.split(key)))


def _is_number(part: str) -> bool:
    """Long, and with digits: words of a name are short."""
    return len(part) >= NUMBER_CHARS and any(map(str.isdigit, part))
