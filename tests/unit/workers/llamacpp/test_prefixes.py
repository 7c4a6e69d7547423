"""The common beginning of two texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llamacpp.server.prefixes import common_prefix

tokens = st.lists(st.integers(1, 3), max_size=30)


@given(tokens, tokens, tokens)
def test_it_is_all_that_agrees_and_no_more(head: list[int], one: list[int], two: list[int]) -> None:
    a = head + one
    b = head + two
    length = common_prefix(a, b)
    assert length >= len(head)
    assert a[:length] == b[:length]
    assert length in (len(a), len(b)) or a[length] != b[length]
