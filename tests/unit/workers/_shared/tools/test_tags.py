"""Calls whose arguments stand between tags: what a template writes is read, and can be written."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest

from _shared.grammars.assembling import machine_of
from _shared.grammars.nodes import GrammarError
from _shared.tools.calls_grammar import rules_of_calls
from _shared.tools.events import Arguments, CallBegin, Content
from _shared.tools.layouts import Layout, Tool, layout_of, opening_of
from _shared.tools.tagged_reader import TaggedReader
from _shared.tools.tags import Frame, calling, conversation
from tests.unit.workers._shared.grammars.walks import allows, written
from tests.unit.workers._shared.tools import templates
from tests.unit.workers._shared.tools.templates import render_of

FORMS = ["QWEN_CODER", "GLM", "MINIMAX"]
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["city"],
}
MODE = {
    "type": "object",
    "properties": {"m": {"enum": ["a", "b"]}, "note": {"type": ["string", "null"], "maxLength": 5}},
    "required": ["m", "note"],
}
TOOLS = [Tool("weather", WEATHER), Tool("now", {}), Tool("mode", MODE)]
PARAMETERS = {tool.name: tool.parameters for tool in TOOLS}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("weather", {"city": '\nA "b" </parameter> <c>\n\n', "days": 3, "tags": ["a", "b"]}),
    ("now", {}),
    ("weather", {"city": "5"}),
    ("mode", {"m": "b", "note": None}),
]


def form(name: str) -> Layout:
    source = getattr(templates, name)
    layout = layout_of(source, render_of(source))
    assert layout is not None
    assert layout.tags is not None
    return layout


def reader(layout: Layout, *, is_in_call: bool = False) -> TaggedReader:
    assert layout.tags is not None
    return TaggedReader(layout.tags, PARAMETERS, is_in_call=is_in_call)


def read(found: TaggedReader, text: str, draw: random.Random) -> tuple[str, list[Any]]:
    """What is said and what is called, from pieces of any length."""
    said = ""
    calls: list[Any] = []
    while text:
        count = draw.randint(1, 9)
        events = found.feed(text[:count])
        text = text[count:]
        if not text:
            events += found.finish()
        for event in events:
            if isinstance(event, Content):
                said += event.text
            elif isinstance(event, CallBegin):
                calls.append((event.name, ""))
            else:
                assert isinstance(event, Arguments)
                name, arguments = calls[event.number]
                calls[event.number] = (name, arguments + event.text)
    return said, [(name, json.loads(arguments)) for name, arguments in calls]


def as_written(name: str, calls: list[tuple[str, dict[str, Any]]]) -> str:
    """By the template."""
    render = render_of(getattr(templates, name))
    given = [{"function": {"name": tool, "arguments": arguments}} for tool, arguments in calls]
    whole = render(calling(given))
    return Frame.of(render(conversation({"content": "Some words"})), whole).within(whole)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_what_the_template_writes_is_read(name: str, seed: int) -> None:
    text = f"Well. {as_written(name, CALLS)}"
    found = reader(form(name))
    said, calls = read(found, text, random.Random(seed))
    assert said.strip() == "Well."
    assert calls == CALLS
    assert not found.is_in_arguments


@pytest.mark.parametrize("name", FORMS)
def test_a_call_that_has_to_be_made_is_valid(name: str) -> None:
    layout = form(name)
    rules = rules_of_calls(TOOLS, layout, has_several=True)
    machine = machine_of(rules)
    whole = as_written(name, [*CALLS[1:3], *CALLS[3:]])
    assert allows(machine, whole.lstrip().removeprefix(opening_of(layout)))
    done = 0
    for seed in range(40):
        draw = random.Random(seed)
        text = written(machine, draw)
        if text is None:
            continue
        said, calls = read(reader(layout, is_in_call=True), text, draw)
        assert not said
        for tool, arguments in calls:
            jsonschema.validate(arguments, PARAMETERS[tool] or True)
        done += bool(calls)
    assert done


@pytest.mark.parametrize("name", FORMS)
def test_blanks_between_tags_are_any_blanks(name: str) -> None:
    text = as_written(name, CALLS[2:3]).replace(">\n<", "> <")
    said, calls = read(reader(form(name)), text, random.Random(0))
    assert calls == CALLS[2:3]
    assert not said.strip()


@pytest.mark.parametrize("name", FORMS)
def test_what_ends_too_early_is_told(name: str) -> None:
    found = reader(form(name))
    text = as_written(name, CALLS[:1])
    found.feed(text[: text.index("city") + 12])
    found.finish()
    assert found.calls == 1
    assert found.is_in_arguments
    cut = reader(form(name))
    anchor = text.strip().split("\n")[0][:6]
    assert cut.feed(f"a {anchor}")[0] == Content("a ")
    assert cut.finish() == [Content(anchor)]


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"properties": {"a": {"type": "string", "pattern": "^x"}}}, "pattern of a text"),
        ({"anyOf": [WEATHER]}, "anyOf is not supported where arguments stand between tags"),
        ({"properties": {"a": {"enum": ["x\n</parameter>\n</function>"]}}}, "ends its own tag"),
    ],
)
def test_what_cannot_be_kept_between_tags_is_refused(parameters: Any, named: str) -> None:
    with pytest.raises(GrammarError, match=named):
        rules_of_calls([Tool("t", parameters)], form("QWEN_CODER"), has_several=False)


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("5", {"type": "string"}, "5"),
        ("5", {"type": ["integer", "string"]}, 5),
        ("5", {"type": ["null", "string"]}, "5"),
        ("None", {"type": ["null", "string"]}, None),
        ("['a']", {"type": "array"}, ["a"]),
        ("NaN", {"type": "number"}, "NaN"),
        ("[[", {"type": "array"}, "[["),
        ("true", {}, True),
    ],
)
def test_a_value_is_what_its_schema_says(text: str, schema: Any, value: object) -> None:
    tags = form("GLM").tags
    assert tags is not None
    found = TaggedReader(tags, {"t": {"properties": {"k": schema}}}, is_in_call=True)
    call = f"t{tags.first}k{tags.equals}{text}{tags.last}"
    assert read(found, call, random.Random(0)) == ("", [("t", {"k": value})])
