"""What may be read on the loop, and how many values a body has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.serve.judging.crowd import (
    FIELDS_MOST,
    NUMBERS_MOST,
    VALUES_MOST,
    count_of,
    refuse_crowd,
)
from llmops_cli.serve.judging.weight import JUDGED_CHARS, JUDGED_TEXTS, are_few, is_light
from llmops_cli.serve.refusal import Refusal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('{}[]",:\\ a\n', max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text('{["\\:a'), inner),
    max_leaves=30,
)


def values_in(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(values_in, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(values_in, value))
    return int(isinstance(value, str))


@given(value=JSON)
def test_values_are_counted_whatever_strings_say(value: Any) -> None:
    assert count_of(json.dumps(value, ensure_ascii=False).encode()).values == values_in(value)


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * VALUES_MOST + b"{}]",
        b"[" * (VALUES_MOST + 1),
        b"[" + b'"",' * VALUES_MOST + b'""]',
        b"[" + b"1," * NUMBERS_MOST + b"1,1]",
        b"{" + b",".join(b'"k%d":1' % number for number in range(FIELDS_MOST + 1)) + b"}",
    ],
    ids=["objects", "lists", "strings", "numbers", "fields"],
)
def test_crowds_are_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_crowd(body)

    assert refused.value.status == 400


@pytest.mark.parametrize("piece", [b'{}[]",', b"{", b'\\"', b"\\\\"])
def test_a_text_of_marks_is_no_crowd(piece: bytes) -> None:
    text = json.dumps(piece.decode() * 300_000).encode()

    refuse_crowd(b'{"messages":[{"role":"user","content":%b}]}' % text)


def test_most_bodies_are_light_and_hostile_ones_are_not() -> None:
    prose = {"model": "m", "messages": [{"role": "user", "content": "Some words. " * 8000}] * 10}

    assert is_light(b'{"model":"m"}')
    assert is_light(json.dumps(prose).encode())
    assert is_light(b'{"image":"' + b"a" * (3 << 20) + b'"}')
    for piece in (b"{},", b'"",', b"[],", b'"a":1,'):
        assert not is_light(piece * 100_000)
    assert not is_light(b"a" * (8 << 20))


@pytest.mark.parametrize(
    ("texts", "few"),
    [
        (["word " * 400], True),
        (["word"] * JUDGED_TEXTS, True),
        (["word"] * (JUDGED_TEXTS + 1), False),
        (["x" * (JUDGED_CHARS + 1)], False),
        (["日本語" * 600], True),
        (["سلام ﷺ " * 40], True),
        (["ﷺ" * 200], False),
    ],
    ids=["one", "several", "many", "long", "chinese", "arabic", "phrases in one sign"],
)
def test_what_is_judged_on_the_loop_is_counted_as_it_is_read(texts: list[str], few: bool) -> None:
    """U+FDFA is 18 letters: 2,048 of them held the loop for 23 ms."""
    assert are_few(texts) == few
