"""Server-sent events, however their lines end and wherever the network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.bench.events import split_events

LINES = ["data: one", "", ": a comment", "data: two", "data: lines", "", "data: [DONE]", "", ""]


def split(stream: bytes, cuts: list[int]) -> tuple[list[bytes], list[int], bool]:
    """As it comes in these pieces, one a nanosecond."""
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in pairwise(places) if begin < end]
    return split_events(pieces, list(range(len(pieces))))


@given(
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 70), max_size=12),
)
def test_events_are_the_same_wherever_they_are_cut(end: str, cuts: list[int]) -> None:
    stream = end.join(LINES).encode()
    inside = [cut for cut in cuts if cut < len(stream)]
    events, times, done = split(stream, inside)
    assert (events, done) == ([b"one", b"two\nlines"], True)
    assert times == sorted(times)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_an_event_is_there_with_its_last_byte(end: bytes) -> None:
    pieces = [b"data: one" + 2 * end, b"data: two" + end + b"data: lines" + 2 * end]
    events, times, _ = split_events(pieces, [5, 9])
    assert (events, times) == ([b"one", b"two\nlines"], [5, 9])
