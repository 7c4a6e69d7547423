"""A skeleton is that of its letters, whichever stand beside them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.guard.skeleton import skeleton

PLAIN = "It is plain English for a while, with a word or two of it. "
LETTERS = st.characters(min_codepoint=0x20, max_codepoint=0x250) | st.sampled_from("ǽæÆ—“”’ß今天…İ")


@given(text=st.text(LETTERS, max_size=30))
def test_a_letter_is_read_the_same_among_plain_text_and_among_others(text: str) -> None:
    among_others = skeleton("今天" * 200 + " " + text).removeprefix(f" {'今天' * 200}")
    assert skeleton(PLAIN * 9 + text).removeprefix(skeleton(PLAIN * 9)) == among_others.lstrip()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Déjà vu — “naïve”, straße", " deja vu naive strasse "),
        ("don\u2019t, ÆON ǽ", " dont aeon æ "),
        ("今天 — it’s", " 今天 its "),
    ],
)
def test_letters_are_read_without_their_accents(text: str, words: str) -> None:
    assert skeleton(text) == words
