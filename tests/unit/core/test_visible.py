"""Texts of others, shown."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.visible import visible, visible_line


@given(st.text(alphabet=st.characters()))
def test_nothing_unseen_is_left(text: str) -> None:
    for char in visible_line(text):
        assert unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def test_it_is_written_out_where_it_stood() -> None:
    assert visible("a\x1b[2Jb\u202ec\U000e0041\ufe0f\n") == (
        "a<U+001B>[2Jb<U+202E>c<U+E0041><U+FE0F>\n"
    )
    assert visible_line("a\nb") == "a<U+000A>b"
    assert visible("Wörter, 文字 and 🙂") == "Wörter, 文字 and 🙂"
