"""Calls are read the same however their text is cut into pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _shared.tools.layouts import FUNCTIONARY, HERMES, LLAMA, MISTRAL, MISTRAL_NAMED, Layout
from _shared.tools.reader import CallBegin, CallReader, Content

NAMES = frozenset({"add", "get_weather"})
ARGUMENTS = {"city": 'Paris "1}"', "days": [1, 2], "é": None}
JSON = json.dumps(ARGUMENTS, ensure_ascii=False)

CASES: list[tuple[str, Layout, str, str, list[tuple[str, Any]]]] = [
    ("no call", HERMES, "Hello < you", "Hello < you", []),
    (
        "hermes",
        HERMES,
        f'Let me see.<tool_call>\n{{"name": "add", "arguments": {JSON}}}\n</tool_call>',
        "Let me see.",
        [("add", ARGUMENTS)],
    ),
    (
        "hermes twice",
        HERMES,
        '<tool_call>{"name":"add","arguments":{"a":1}}</tool_call>\n'
        '<tool_call>\n{"name":"get_weather","arguments":{}}\n</tool_call>',
        "",
        [("add", {"a": 1}), ("get_weather", {})],
    ),
    (
        "hermes in another order",
        HERMES,
        f'<tool_call>{{"arguments": {JSON}, "name": "add"}}</tool_call>',
        "",
        [("add", ARGUMENTS)],
    ),
    (
        "hermes without arguments",
        HERMES,
        '<tool_call>{"name": "add"}</tool_call>',
        "",
        [("add", {})],
    ),
    (
        "mistral",
        MISTRAL,
        f'[TOOL_CALLS] [{{"name": "add", "arguments": {JSON}}}, '
        '{"name": "get_weather", "arguments": {}}]',
        "",
        [("add", ARGUMENTS), ("get_weather", {})],
    ),
    (
        "mistral with names",
        MISTRAL_NAMED,
        f"Now: [TOOL_CALLS]add[ARGS]{JSON}[TOOL_CALLS]get_weather[ARGS]{{}}",
        "Now: ",
        [("add", ARGUMENTS), ("get_weather", {})],
    ),
    (
        "functionary",
        FUNCTIONARY,
        f"<function=add>{JSON}</function><function=get_weather>{{}}</function>",
        "",
        [("add", ARGUMENTS), ("get_weather", {})],
    ),
    ("llama", LLAMA, f'{{"name": "add", "parameters": {JSON}}}', "", [("add", ARGUMENTS)]),
    (
        "llama with its tag",
        LLAMA,
        '<|python_tag|>{"name": "add", "parameters": {}}; {"name": "add", "parameters": {"a": 2}}',
        "",
        [("add", {}), ("add", {"a": 2})],
    ),
    ("llama says something", LLAMA, "The {name} is: x", "The {name} is: x", []),
    (
        "llama writes other JSON",
        LLAMA,
        '{"name": "Ann", "parameters": {}}',
        '{"name": "Ann", "parameters": {}}',
        [],
    ),
]


def read(reader: CallReader, pieces: list[str]) -> tuple[str, list[tuple[str, Any]]]:
    said = ""
    names: list[str] = []
    arguments: list[str] = []
    events = [event for piece in pieces for event in reader.feed(piece)]
    for event in [*events, *reader.finish()]:
        if isinstance(event, Content):
            said += event.text
        elif isinstance(event, CallBegin):
            assert event.number == len(names)
            names.append(event.name)
            arguments.append("")
        else:
            arguments[event.number] += event.text
    return said, [(name, json.loads(text)) for name, text in zip(names, arguments, strict=True)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("layout", "text", "said", "calls"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_calls_and_content_are_told_apart(
    layout: Layout, text: str, said: str, calls: list[tuple[str, Any]], size: int
) -> None:
    pieces = [text[place : place + size] for place in range(0, len(text), size)]
    assert read(CallReader(layout, NAMES), pieces) == (said, calls)


def test_arguments_come_as_they_are_written() -> None:
    reader = CallReader(HERMES, NAMES)
    begun = reader.feed('<tool_call>{"name": "add", "arguments": {"a"')
    assert [type(event).__name__ for event in begun] == ["CallBegin", "Arguments"]
    assert [event.text for event in reader.feed(": 12")] == [": 12"]
    assert [event.text for event in reader.feed("3}}</tool_call>")] == ["3}"]


def test_an_answer_that_has_to_be_a_call_is_one_from_its_first_letter() -> None:
    reader = CallReader(HERMES, NAMES, is_in_call=True)
    assert read(reader, ['{"name": "add", "argu', 'ments": {}}\n</tool_call>']) == (
        "",
        [("add", {})],
    )


@pytest.mark.parametrize(
    "layout", [HERMES, MISTRAL, MISTRAL_NAMED, FUNCTIONARY, LLAMA], ids=lambda layout: layout.name
)
@given(pieces=st.lists(st.text('<>[]{}":, \nabcTOL_/funtiolcarg=;|py\\', max_size=12), max_size=12))
def test_no_text_breaks_the_reader_and_none_is_lost_without_a_mark(
    layout: Layout, pieces: list[str]
) -> None:
    text = "".join(pieces)
    reader = CallReader(layout, NAMES)
    events = [event for piece in pieces for event in reader.feed(piece)]
    events += reader.finish()
    if reader.calls == 0 and layout.opening and layout.opening not in text:
        assert "".join(event.text for event in events if isinstance(event, Content)) == text
