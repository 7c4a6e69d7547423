"""Server-sent events, however their lines end and wherever the network cuts them."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate, pairwise

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


DATA = st.sampled_from([b"one", b"{}", b"data: two", b"[DONE]", b""])


@given(
    datas=st.lists(DATA, min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 6), max_size=6),
    inside=st.lists(st.integers(0, 90), max_size=3),
)
def test_an_event_comes_with_the_piece_that_ends_it(
    datas: list[bytes], cuts: list[int], inside: list[int]
) -> None:
    """Pieces that are events, as of most servers, and others."""
    events = [b"data: " + data + b"\n\n" for data in datas]
    ends = [*accumulate(map(len, events))]
    between = {ends[cut] for cut in cuts if cut < len(ends) - 1}
    places = sorted(between | {cut for cut in inside if 0 < cut < ends[-1]})
    expected = [
        (data, bisect_left(places, end))
        for data, end in zip(datas, ends, strict=True)
        if data not in (b"", b"[DONE]")
    ]
    found, stamps, done = split(b"".join(events), places)
    assert [*zip(found, stamps, strict=True)] == expected
    assert done == (b"[DONE]" in datas)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_an_event_is_there_with_its_last_byte(end: bytes) -> None:
    pieces = [b"data: one" + 2 * end, b"data: two" + end + b"data: lines" + 2 * end]
    events, times, _ = split_events(pieces, [5, 9])
    assert (events, times) == ([b"one", b"two\nlines"], [5, 9])


@given(st.lists(st.integers(0, 90), max_size=12))
def test_a_byte_order_mark_takes_no_event_away(cuts: list[int]) -> None:
    stream = b"\xef\xbb\xbf" + b"\n".join(line.encode() for line in LINES)
    events, _, done = split(stream, [cut for cut in cuts if cut < len(stream)])
    assert (events, done) == ([b"one", b"two\nlines"], True)


MESSAGES = [b'{"a": 1}', b'{"b": {"c": 2}}', b'{"d": 3}']


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("last", [b"", b"\n"], ids=["cut", "ended"])
@given(cuts=st.lists(st.integers(0, 80), max_size=12))
def test_messages_may_have_a_line_each(end: bytes, last: bytes, cuts: list[int]) -> None:
    """Clients that read lines take them so."""
    stream = end.join(b"data: " + message for message in [*MESSAGES, b"[DONE]"]) + last
    events, times, done = split(stream, [cut for cut in cuts if cut < len(stream)])
    assert (events, done) == (MESSAGES, True)
    assert times == sorted(times)


def test_a_message_of_one_line_is_there_with_its_line() -> None:
    pieces = [b"data: " + message + b"\n" for message in MESSAGES]
    assert split_events(pieces, [3, 5, 9])[:2] == (MESSAGES, [3, 5, 9])


def test_one_message_in_several_lines_is_one() -> None:
    stream = b'data: {\ndata: "a": {}\ndata: }\n\ndata: [DONE]\n\n'
    assert split(stream, [7, 20])[0] == [b'{\n"a": {}\n}']


def test_an_error_by_name_stays_one() -> None:
    stream = b'event: error\ndata: {"message": "a"}\ndata: {"b": 1}\n\n'
    assert len(split(stream, [])[0]) == 1
