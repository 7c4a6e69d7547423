"""What is looked for only where a text has the least of it is found there, and told at once."""

from __future__ import annotations

import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.guard.automata import without_surrogates
from llmops_cli.guard.carriers import CARRIERS
from llmops_cli.guard.signs import Least, Sign, SignSet
from llmops_cli.guard.tested import CALL, CALL_SIGN, LIST, LIST_SIGN, NEAR_CHARS
from llmops_cli.guard.views import OWN_SIGNS
from tests.any_texts import PIECES

SIGNS = (
    *(Sign(name=each.name, pattern=each.sign, least=each.least) for each in CARRIERS),
    *OWN_SIGNS,
)
TEXTS = (
    *PIECES,
    *("ay ", "AY, ", "igpAy ", "1)a", "2: b", "3.c ", '"a"', "“b”", "h3y ", "<~", "~", "&#12;"),
    *("ǝɹʇ ", "ɐɥɯ", "–· ", "12 ", "=4F", "%4f", "\\u0041", "1, ", "077 ", "⠓⠓⠓⠓"),
)
FOUND = SignSet(SIGNS)


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(st.sampled_from(TEXTS), max_size=12), times=st.integers(1, 5))
def test_every_sign_that_a_text_has_is_found(parts: list[str], times: int) -> None:
    text = without_surrogates("".join(parts) * times)
    has_least = [sign for sign in SIGNS if has(text, sign.least)]
    assert FOUND.of(text) == [sign.name for sign in has_least if re2.search(sign.pattern, text)]


def has(text: str, least: Least) -> bool:
    """The same, counted one by one."""
    if not least.count:
        return least.ascii_only or not text.isascii()
    return sum(map(text.count, least.marks)) >= least.count


CODE = (
    *("attacks", "cases", " ", "=", ":", "[", "(", "!", "assert", "expect", "check_it", "\n"),
    *("n" * 30, "_" * 50, "a.b" * 30),
)


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(st.sampled_from(CODE), max_size=8))
def test_what_is_looked_for_before_a_sign_ends_with_it_and_is_as_short(parts: list[str]) -> None:
    text = "".join(parts)
    for found in LIST.finditer(text):
        assert LIST_SIGN.match(text, found.end() - 1)
        assert len(found[0]) < NEAR_CHARS
    for found in CALL.finditer(text):
        assert found[0].startswith("assert") or CALL_SIGN.match(text, found.end() - 1)
        assert len(found[0]) < NEAR_CHARS
