"""How far to draft, and what prompt lookup finds."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from hypothesis import given
from hypothesis import strategies as st

from llamacpp.server.drafting import LONGEST_PAUSE, DraftWindow, NgramIndex


@given(st.integers(1, 16), st.lists(st.floats(0, 1), max_size=40))
def test_a_draft_is_never_longer_than_allowed_nor_given_up_for_ever(
    most: int, rates: list[float]
) -> None:
    window = DraftWindow(most)
    for rate in rates:
        skipped = 0
        while (length := window.next_length()) == 0:
            skipped += 1
            assert skipped <= LONGEST_PAUSE
        assert 1 <= length <= most
        window.learn(drafted=length, accepted=round(rate * length))


def test_wrong_drafts_pause_longer_and_longer() -> None:
    window = DraftWindow(4)
    pauses = []
    for _ in range(3):
        pause = 0
        while (length := window.next_length()) == 0:
            pause += 1
        pauses.append(pause)
        window.learn(drafted=length, accepted=0)
    assert pauses == [0, 1, 3]


def test_full_success_drafts_twice_as_far() -> None:
    window = DraftWindow(8)
    window.learn(drafted=8, accepted=2)
    assert window.next_length() == 2
    window.learn(drafted=2, accepted=2)
    assert window.next_length() == 4


def test_the_text_goes_on_as_it_did_the_last_time() -> None:
    ngrams = NgramIndex()
    text = [1, 2, 3, 4, 5, 9, 9, 1, 2, 3]
    ngrams.extend(text)
    assert ngrams.continuation(text, 3) == [4, 5, 9]


def test_past_its_own_end_a_text_repeats_itself() -> None:
    ngrams = NgramIndex()
    text = [7, 1, 2, 1, 2]
    ngrams.extend(text)
    assert ngrams.continuation(text, 5) == [1, 2, 1, 2, 1]


def test_new_text_has_no_draft() -> None:
    ngrams = NgramIndex()
    text = [1, 2, 3, 4]
    ngrams.extend(text)
    assert ngrams.continuation(text, 3) == []
