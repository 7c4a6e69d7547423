"""Whether a text can still become one JSON object."""

from __future__ import annotations

import json
from typing import Any

import jiter
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.serve.answers.dialects.json_prefix import ObjectPrefix

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
near_json = st.text(alphabet='{}[]":,\\u+-.0123456789truefalsnD8C \n', max_size=14)


def fed(text: str, size: int) -> ObjectPrefix:
    prefix = ObjectPrefix()
    for start in range(0, len(text), size):
        if not prefix.feed(text[start : start + size]):
            break
    return prefix


@settings(max_examples=200)
@given(
    given_object=st.dictionaries(st.text(), values, max_size=4),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
    size=st.integers(1, 9),
)
def test_every_object_is_whole_at_its_end_and_not_before(
    given_object: dict[str, Any],
    ascii_only: bool,
    indent: int | None,
    size: int,
) -> None:
    text = json.dumps(given_object, ensure_ascii=ascii_only, indent=indent)
    prefix = fed(text, size)
    assert (prefix.is_whole, prefix.is_broken) == (True, False)
    assert not fed(text[:-1], size).is_whole


@settings(max_examples=400)
@given(text=near_json.map('{"a":'.__add__))
def test_what_may_go_on_can_be_read_by_anthropics_client(text: str) -> None:
    prefix = ObjectPrefix()
    for end, char in enumerate(text, start=1):
        if not prefix.feed(char):
            return
        jiter.from_json(text[:end].encode(), partial_mode=True)
    if prefix.is_whole:
        assert isinstance(msgspec.json.decode(text), dict)


def test_a_long_object_in_one_piece_is_whole_and_nothing_may_follow() -> None:
    prefix = ObjectPrefix()
    assert prefix.feed(json.dumps({"a": list(range(200_000))}))
    assert prefix.is_whole
    assert prefix.feed(" ")
    assert not prefix.feed("}")


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "1",
        '"x"',
        '{"a" 1}',
        '{"a":01}',
        '{"a":tru}',
        '{"a":1,}',
        '{"a":1]',
        "{}{}",
        '{"a":"\\x"}',
        '{"a":"\\ud800"}',
        '{"a":"\\udc00"}',
        '{"a":"\n"}',
        '{"a":' + "1" * 100,
    ],
)
def test_what_can_never_be_an_object_is_broken(text: str) -> None:
    assert fed(text, 1).is_broken
    assert fed(text, 100).is_broken
