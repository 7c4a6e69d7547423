"""Calls in the forms that templates teach: a name and JSON between marks."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _shared.grammars.assembling import machine_of
from _shared.tools.calls_grammar import rules_of_calls
from _shared.tools.framed import CallFrame
from _shared.tools.framed_reader import FramedReader
from _shared.tools.layouts import Layout, Tool, layout_of, opening_of
from _shared.tools.tags import calling
from tests.unit.workers._shared.grammars.walks import written
from tests.unit.workers._shared.tools.templates import FRAMED, render_of
from tests.unit.workers._shared.tools.test_reader import read

ARGUMENTS = {"city": 'Paris "1}"', "days": [1, {"a": 2}], "é": None}
CALLS = [("add", {"a": 1}), ("get_weather", ARGUMENTS)]
TOOLS = [
    Tool("add", {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}),
    Tool("now", {}),
]


def learned(form: str) -> Layout:
    layout = layout_of(FRAMED[form], render_of(FRAMED[form]))
    assert layout is not None
    assert layout.frame is not None
    return layout


def frame_of(form: str) -> CallFrame:
    frame = learned(form).frame
    assert frame is not None
    return frame


def as_written(form: str, calls: list[tuple[str, Any]]) -> str:
    """By the template itself, up to the end of the turn."""
    told = [
        {
            "id": f"functions.{name}:{number}",
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        for number, (name, arguments) in enumerate(calls)
    ]
    whole = render_of(FRAMED[form])(calling(told))
    _, _, answer = whole.partition("<|assistant|>")
    return answer.partition("<|end of turn|>")[0]


@pytest.mark.parametrize("form", FRAMED)
@given(cuts=st.lists(st.integers(min_value=1, max_value=200), max_size=12))
def test_what_the_template_writes_is_read_wherever_it_is_cut(form: str, cuts: list[int]) -> None:
    frame = frame_of(form)
    calls = CALLS if frame.has_several else CALLS[1:]
    text = "Let me see." + as_written(form, calls)
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    assert read(FramedReader(frame), pieces) == ("Let me see.", calls)


@pytest.mark.parametrize("form", FRAMED)
def test_what_a_grammar_writes_is_read(form: str) -> None:
    layout = learned(form)
    machine = machine_of(rules_of_calls(TOOLS, layout, has_several=True))
    draw = random.Random(1)
    counts = set()
    for _ in range(12):
        text = written(machine, draw)
        if text is None:
            continue
        said, calls = read(FramedReader(frame_of(form), is_in_call=True), [text])
        assert said == ""
        assert {name for name, _ in calls} <= {"add", "now"}
        counts.add(len(calls))
    assert 1 in counts
    assert opening_of(layout) == frame_of(form).first


@pytest.mark.parametrize("form", FRAMED)
@pytest.mark.parametrize("text", ["<", "a < b", "<|", "[1, 2]", "{}", "<|other|>", "<|call"])
def test_what_is_no_call_is_said(form: str, text: str) -> None:
    pieces = list(f"{text} and so on")
    assert read(FramedReader(frame_of(form)), pieces) == (f"{text} and so on", [])


@pytest.mark.parametrize("form", FRAMED)
def test_a_mark_without_a_call_is_not_lost(form: str) -> None:
    frame = frame_of(form)
    text = f"{frame.first}!{json.dumps(ARGUMENTS)}"
    said, calls = read(FramedReader(frame), [text])
    assert calls == []
    assert json.dumps(ARGUMENTS) in said


def test_words_after_a_call_are_said() -> None:
    text = as_written("apertus", CALLS) + "\nDone."
    said, calls = read(FramedReader(frame_of("apertus")), [text])
    assert (said.strip(), calls) == ("Done.", CALLS)
