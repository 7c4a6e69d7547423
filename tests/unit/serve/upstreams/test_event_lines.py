"""Whichever ends of lines an upstream uses, and wherever its stream is cut."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.serve.upstreams.event_lines import BOM, EventLines

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.lists(st.tuples(st.sampled_from([b"", b"data: {}", b": a", BOM]), ENDS), max_size=8)


def fed(whole: bytes, cuts: list[int]) -> bytes:
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    lines = EventLines()
    pieces = [whole[start:end] for start, end in itertools.pairwise(places)]
    return b"".join(map(lines.feed, pieces))


@given(
    lines=LINES,
    mark=st.sampled_from([b"", BOM]),
    cuts=st.lists(st.integers(min_value=0, max_value=80)),
)
def test_the_lines_stay_and_their_ends_become_one(
    lines: list[tuple[bytes, bytes]],
    mark: bytes,
    cuts: list[int],
) -> None:
    whole = b"".join(text + end for text, end in lines) + b"."
    known = re.sub(rb"\r\n|\r", b"\n", whole)
    if not mark:
        known = known.removeprefix(BOM)
    assert fed(mark + whole, cuts) == known


def test_an_end_is_not_waited_for() -> None:
    lines = EventLines()
    assert lines.feed(b"data: 1\r\r") == b"data: 1\n\n"
    assert lines.feed(b"data: 2\r") == b"data: 2\n"
    assert lines.feed(b"\n") == b""
    assert lines.feed(b"\r\n") == b"\n"
