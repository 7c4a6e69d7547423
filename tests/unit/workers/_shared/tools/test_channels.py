"""Answers of gpt-oss: thoughts, calls and what is for people, however the text is cut."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _shared.tools.channels import CALL, FINAL, ChannelReader
from _shared.tools.events import CallBegin, Content, Thought

NAMES = frozenset({"get_weather", "now"})
THINKING = "<|channel|>analysis<|message|>They ask <b>twice</b>.<|end|>"
CITY = json.dumps({"city": "Paris } <|"})
ASSISTANT = "<|start|>assistant"


class Read(NamedTuple):
    said: str
    thought: str
    calls: list[tuple[str, str]]
    is_cut: bool


def read(text: str, size: int = 1000, *, written: str = "") -> Read:
    reader = ChannelReader(NAMES, written=written)
    pieces = [text[place : place + size] for place in range(0, len(text), size)]
    events = [event for piece in pieces for event in reader.feed(piece)]
    said = ""
    thought = ""
    names: list[str] = []
    arguments: list[str] = []
    for event in [*events, *reader.finish()]:
        if isinstance(event, Content):
            said += event.text
        elif isinstance(event, Thought):
            thought += event.text
        elif isinstance(event, CallBegin):
            names.append(event.name)
            arguments.append("")
        else:
            arguments[event.number] += event.text
    return Read(said, thought, [*zip(names, arguments, strict=True)], reader.is_in_arguments)


CASES = {
    "thought and said": (
        f"{THINKING}{ASSISTANT}<|channel|>final<|message|>Hello < you|>!",
        Read("Hello < you|>!", "They ask <b>twice</b>.", [], False),
    ),
    "ended": (
        "<|channel|>final<|message|>Hello<|return|>",
        Read("Hello", "", [], False),
    ),
    "only thought, as far as there was room": (
        "<|channel|>analysis<|message|>Well, let me",
        Read("", "Well, let me", [], False),
    ),
    "a call": (
        f"{THINKING}{ASSISTANT}<|channel|>commentary to=functions.get_weather "
        f"<|constrain|>json<|message|>{CITY}<|call|>",
        Read("", "They ask <b>twice</b>.", [("get_weather", CITY)], False),
    ),
    "a call whose end ended the answer": (
        f"{CALL}now<|message|>{{}}",
        Read("", "", [("now", "{}")], False),
    ),
    "a call that is told before its channel": (
        f" to=functions.get_weather<|channel|>commentary json<|message|>{CITY}<|call|>",
        Read("", "", [("get_weather", CITY)], False),
    ),
    "words before a call": (
        "<|channel|>commentary<|message|>I will look.<|end|>"
        f"{ASSISTANT}{CALL}now <|constrain|>json<|message|>{{}}<|call|>",
        Read("I will look.", "", [("now", "{}")], False),
    ),
    "a call that was cut": (
        f'{CALL}now<|message|>{{"a": 1',
        Read("", "", [("now", '{"a": 1')], True),
    ),
    "a call that ends before its arguments": (
        f'{CALL}now<|message|>{{"a": <|end|>{ASSISTANT}<|channel|>final<|message|>Hm.',
        Read("Hm.", "", [("now", '{"a": ')], True),
    ),
    "a tool that is not there": (
        "<|channel|>commentary to=browser.search<|message|>{}<|end|>"
        f"{ASSISTANT}{CALL}other<|message|>{{}}<|call|>",
        Read("", "{}{}", [], False),
    ),
    "no channel at all": ("Hello <|you", Read("Hello <|you", "", [], False)),
    "nothing": ("", Read("", "", [], False)),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(("text", "found"), CASES.values(), ids=CASES)
def test_channels_are_told_apart(text: str, found: Read, size: int) -> None:
    assert read(text, size) == found


def test_what_was_written_for_the_model_decides_the_channel() -> None:
    assert read('{"a": 1}', 1, written=FINAL) == Read('{"a": 1}', "", [], False)
    assert read("now<|message|>{}", 1, written=CALL) == Read("", "", [("now", "{}")], False)


@given(st.lists(st.sampled_from([*CASES["a call"][0].split("|"), "<|", "|>", "x", " to="])))
def test_nothing_is_lost_or_breaks(pieces: list[str]) -> None:
    text = "|".join(pieces)
    for size in (1, 4):
        assert read(text, size) == read(text)
