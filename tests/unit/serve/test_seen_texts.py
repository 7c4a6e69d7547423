"""Words of answers put together again, however their events came."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.serve.seen_texts import EVENT_MOST, PENDING_BYTES, SaidText


def event(**chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def choice(index: int, **delta: object) -> bytes:
    return event(choices=[{"index": index, "delta": delta}])


@settings(max_examples=40)
@given(words=st.lists(st.text(max_size=5), max_size=20), cut=st.integers(1, 90))
def test_words_stand_together_however_the_stream_is_cut(words: list[str], cut: int) -> None:
    raw = b"".join(choice(0, content=word) for word in words) + b"data: [DONE]\n\n"
    said = SaidText()
    for first in range(0, len(raw), cut):
        said.feed(raw[first : first + cut])
    whole = "".join(words)
    assert said.texts() == ([whole] if whole else [])


def test_choices_calls_and_thoughts_are_texts_of_their_own() -> None:
    said = SaidText()
    for half in ("one", "two"):
        call = [{"index": 1, "function": {"arguments": half.upper()}}]
        said.feed(choice(0, content=half) + choice(1, content=half[::-1]))
        said.feed(choice(0, reasoning_content=f"{half}?", tool_calls=call))
    assert said.texts() == ["onetwo", "enoowt", "one?two?", "ONETWO"]


@pytest.mark.parametrize(
    "delta",
    [
        lambda half: {"function_call": {"arguments": half}},
        lambda half: {"tool_calls": [{"index": 0, "custom": {"input": half}}]},
        lambda half: {"audio": {"id": "a", "data": "UklGRg==", "transcript": half}},
        lambda half: {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": half}]},
        lambda half: {"reasoning_details": [{"type": "reasoning.summary", "summary": half}]},
    ],
)
@pytest.mark.parametrize("part", ["delta", "message"])
def test_words_are_found_wherever_a_choice_has_them(
    part: str, delta: Callable[[str], dict[str, object]]
) -> None:
    said = SaidText()
    for half in ("sk-", "abc"):
        said.feed(event(choices=[{"index": 0, part: delta(half)}]))
    assert said.texts() == ["sk-abc"]


def test_typed_events_and_events_of_no_form_are_read_too() -> None:
    said = SaidText()
    said.feed(event(type="response.output_text.delta", delta="sk-"))
    said.feed(event(type="response.output_text.delta", delta="abc"))
    said.feed(event(choices=[{"delta": {"content": [{"text": "part"}]}}]))
    first, odd = said.texts()
    assert first == "sk-abc"
    assert '"part"' in odd


def test_of_a_long_stream_only_the_words_are_kept() -> None:
    said = SaidText()
    piece = event(id="x" * 200, choices=[{"index": 0, "delta": {"content": "word "}}])
    for _ in range(2000):
        said.feed(piece)
    assert said.size < 2000 * 5 + PENDING_BYTES
    assert said.texts() == ["word " * 2000]


def test_words_are_the_same_when_they_were_joined_to_be_sent() -> None:
    said = SaidText()
    said.feed(choice(0, content="one") + choice(1, content="1") + choice(0, content=" two"))
    said.feed(b'data: {"choices": [{"delta": {"content": " three"}}]}')
    said.join()
    said.feed(b"\n\n" + choice(0, content=" four"))
    assert said.texts() == ["one two three four", "1"]


def test_an_event_without_end_costs_no_more_than_its_bytes() -> None:
    """Each piece was joined with all before it: a megabyte byte by byte took minutes."""
    said = SaidText()
    said.feed(b"data: " + b"x" * EVENT_MOST)
    start = time.process_time()
    for _ in range(200_000):
        said.feed(b"x")
    assert time.process_time() - start < 2
    assert said.size <= EVENT_MOST
    said.feed(b"\n\n" + choice(0, content="after"))
    assert said.texts()[-1] == "after"


def test_a_whole_answer_is_all_its_strings() -> None:
    said = SaidText()
    said.whole(b'{"choices": [{"message": {"content": "a\\nb", "n": 1}}], "id": "c"}')
    assert sorted(said.texts()) == ["a\nb", "c"]
    odd = SaidText()
    odd.whole(b"WEBVTT\n")
    assert odd.texts() == ["WEBVTT\n"]
