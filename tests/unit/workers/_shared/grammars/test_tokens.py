"""A grammar over tokens: their bytes may end in the middle of a character."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _shared.grammars.tokens import TokenMatcher, TokenTexts, codes_beginning
from tests.unit.workers._shared.grammars.walks import of_gbnf, of_schema

PIECES = [
    b"",
    b"a",
    b"ab",
    b"b",
    b"1",
    b"12",
    b'"',
    b'{"',
    b"}",
    b":",
    b"\xc3",
    b"\xa9",
    b"\xf0\x9f",
    b"\x98\x80",
    b"abc",
    b" ",
]
TEXTS = TokenTexts(PIECES)


def tokens_allowed(matcher: TokenMatcher) -> list[int]:
    return sorted(matcher.allowed().tokens)


def test_a_token_is_allowed_with_all_its_characters() -> None:
    matcher = TokenMatcher(of_gbnf('root ::= "ab" [0-9]{2}'), TEXTS)
    assert tokens_allowed(matcher) == [1, 2]
    matcher.accept(1)
    assert tokens_allowed(matcher) == [3]
    matcher.accept(3)
    assert not matcher.may_end
    matcher.accept(5)
    assert matcher.may_end
    assert matcher.is_over
    with pytest.raises(ValueError, match="does not fit"):
        matcher.accept(1)


def test_a_character_may_begin_in_one_token_and_end_in_the_next() -> None:
    matcher = TokenMatcher(of_gbnf("root ::= [é😀]"), TEXTS)
    assert tokens_allowed(matcher) == [10, 12]
    matcher.accept(12)
    assert tokens_allowed(matcher) == [13]
    assert not matcher.may_end
    matcher.accept(13)
    assert matcher.is_over


def test_a_pattern_of_one_character_may_begin_in_one_token_and_end_in_the_next() -> None:
    for pattern, parts in (("^é$", [10, 11]), ("^😀+$", [12, 13]), ("^[é]$", [10, 11])):
        matcher = TokenMatcher(of_schema({"type": "string", "pattern": pattern}), TEXTS)
        for token in [6, *parts, 6]:
            assert token in tokens_allowed(matcher)
            matcher.accept(token)
        assert matcher.is_over


def test_a_beginning_that_no_allowed_character_has_is_not_allowed() -> None:
    matcher = TokenMatcher(of_gbnf("root ::= [a-z]+"), TEXTS)
    assert not matcher.allows(10)
    assert not matcher.allows(0)


@pytest.mark.parametrize("char", ["é", "ࠀ", "€", "😀", "\U0010ffff"])
def test_the_codes_that_begin_with_some_bytes(char: str) -> None:
    raw = char.encode()
    for length in range(1, len(raw)):
        first, last = codes_beginning(raw[:length])
        assert first <= ord(char) <= last
        assert chr(last).encode()[:length] == raw[:length]


@pytest.mark.parametrize("lead", [b"\xc3", b"\xe0", b"\xf0", b"\xf0\x90"])
def test_bytes_that_begin_no_ascii_character_do_not_stand_for_one(lead: bytes) -> None:
    matcher = TokenMatcher(of_gbnf('root ::= "{"'), TokenTexts([b"", b"{", lead]))
    assert tokens_allowed(matcher) == [1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1_000_000))
def test_the_list_of_allowed_tokens_is_what_each_alone_is(seed: int) -> None:
    draw = random.Random(seed)
    schema = draw.choice([{}, {"type": "string", "pattern": "^[ab]+1$"}, {"type": "object"}])
    matcher = TokenMatcher(of_schema(schema), TEXTS)
    for _ in range(12):
        every = matcher.allowed(at_any_cost=True)
        assert every.is_whole
        assert sorted(every.tokens) == [t for t in range(len(PIECES)) if matcher.allows(t)]
        if not every.tokens:
            break
        matcher.accept(draw.choice(every.tokens))
