"""Streams never split a character and never show any part of a stop string."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llamacpp.server.detokenizer import Detokenizer

text = st.text(max_size=60)
stops = st.lists(st.text(alphabet="abé🙂 ", min_size=1, max_size=4), max_size=3)


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({p % (len(raw) + 1) for p in places} | {0, len(raw)})
    return [raw[a:b] for a, b in pairwise(marks)]


@given(
    st.text(alphabet="abé🙂 xyz", max_size=60), stops, st.lists(st.integers(0, 300), max_size=20)
)
def test_the_pieces_add_up_to_the_text_before_the_first_stop(
    whole: str, stop: list[str], places: list[int]
) -> None:
    stream = Detokenizer(stop)
    out = []
    for piece in cut(whole.encode(), places):
        out.append(stream.feed(piece))
        if stream.stopped:
            break
    out.append(stream.finish())
    ends = [whole.find(s) for s in stop if s in whole]
    shown = "".join(out)
    if not ends:
        assert shown == whole
    else:  # which of two overlapping stops is met first may depend on where the bytes were cut
        assert whole.startswith(shown)
        assert stream.stopped
        assert not any(s in shown for s in stop)


@given(text, st.lists(st.integers(0, 300), max_size=20))
def test_no_replacement_character_appears_for_valid_utf8(whole: str, places: list[int]) -> None:
    stream = Detokenizer([])
    shown = "".join(stream.feed(piece) for piece in cut(whole.encode(), places)) + stream.finish()
    assert shown == whole


def test_an_unfinished_character_is_replaced_at_the_end() -> None:
    stream = Detokenizer([])
    assert stream.feed("é".encode()[:1]) == ""
    assert stream.finish() == "\ufffd"
