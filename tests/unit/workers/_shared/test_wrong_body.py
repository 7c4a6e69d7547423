"""Why a body is not JSON, in words of whoever sent it, and alike in every worker."""

from __future__ import annotations

import sys

import pytest

from _shared.wrong_body import CUT_CHARACTER, wrong_body

STOPS_EARLY = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="Python 3.14 reads on, and names the place"
)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b" ", "the body is empty"),
        (b'{"a": 1,\n  b}', "the body is not JSON: line 2, column 3"),
        (b'{"a": "\xff"}', "the body is no text in UTF-8"),
        (b'{"a": NaN}', "the body is not JSON"),
        (rb'{"a": "\ud83d"}', f"the body is not JSON: {CUT_CHARACTER}"),
        (b"{" + b" " * 100_000 + b"b}", "the body is not JSON"),
        (('{"a": "' + "é" * 40_000 + '"').encode(), "the body is not JSON"),
        (('{"ab": "' + "é" * 40_000 + '"').encode(), "the body is not JSON"),
        pytest.param(b"[" * 60_000, "the body is nested too deep", marks=STOPS_EARLY),
        (b"1" * 5_000, "the body holds a number that is too long"),
    ],
    ids=[
        "empty",
        "broken",
        "bytes",
        "NaN",
        "half a character",
        "long",
        "cut",
        "cut one further",
        "deep",
        "a long number",
    ],
)
def test_a_body_is_told_in_its_senders_words(raw: bytes, said: str) -> None:
    assert wrong_body(raw) == said
