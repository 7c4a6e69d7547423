"""What an answer that has to be a call may be, in each form."""

from __future__ import annotations

import json
import random

import pytest

from _shared.grammars.assembling import machine_of
from _shared.grammars.nodes import GrammarError
from _shared.tools.calls_grammar import rules_of_calls
from _shared.tools.layouts import (
    FUNCTIONARY,
    HERMES,
    KNOWN,
    LLAMA,
    MISTRAL,
    Layout,
    Tool,
    opening_of,
)
from _shared.tools.reader import CallReader
from tests.unit.workers._shared.grammars.walks import allows, written
from tests.unit.workers._shared.tools.test_reader import read

NUMBER = {"$ref": "#/$defs/n"}
ADD = Tool(
    "add",
    {
        "type": "object",
        "properties": {"a": NUMBER, "b": NUMBER},
        "required": ["a", "b"],
        "$defs": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
    },
)
NOTHING = Tool("now", {})
TOOLS = [ADD, NOTHING]


@pytest.mark.parametrize("layout", KNOWN, ids=lambda layout: layout.name)
@pytest.mark.parametrize("has_several", [False, True])
def test_what_is_written_is_read_again(layout: Layout, has_several: bool) -> None:
    machine = machine_of(rules_of_calls(TOOLS, layout, has_several=has_several))
    draw = random.Random(1)
    counts = set()
    for _ in range(25):
        text = written(machine, draw)
        if text is None:
            continue
        reader = CallReader(layout, frozenset({"add", "now"}), is_in_call=True)
        said, calls = read(reader, [text])
        assert said == ""
        counts.add(len(calls))
        for name, arguments in calls:
            assert name in ("add", "now")
            if name == "add":
                assert 0 <= arguments["a"] <= 99
    assert 1 in counts
    assert has_several or counts == {1}


@pytest.mark.parametrize(
    ("layout", "opening", "text"),
    [
        (HERMES, "<tool_call>\n", '{"name": "now", "arguments": {}}\n</tool_call>'),
        (MISTRAL, "[TOOL_CALLS]", '[{"name": "now", "arguments": {}}]'),
        (FUNCTIONARY, "<function=", "now>{}</function>"),
        (LLAMA, "", '{"name": "now", "parameters": {}}'),
    ],
    ids=lambda value: value.name if isinstance(value, Layout) else "",
)
def test_a_form_as_models_know_it(layout: Layout, opening: str, text: str) -> None:
    assert opening_of(layout) == opening
    assert allows(machine_of(rules_of_calls(TOOLS, layout, has_several=False)), text)


def test_parameters_that_cannot_be_kept_name_their_tool() -> None:
    odd = Tool("odd", {"type": "object", "unevaluatedItems": False})
    with pytest.raises(
        GrammarError, match="parameters of 'odd': unevaluatedItems is not supported"
    ):
        rules_of_calls([odd], HERMES, has_several=True)


def test_many_tools_stand_beside_one_another() -> None:
    tools = [Tool(f"tool_{place}", ADD.parameters) for place in range(40)]
    machine = machine_of(rules_of_calls(tools, HERMES, has_several=True))
    arguments = json.dumps({"a": 1, "b": 2})
    call = f'{{"name": "tool_39", "arguments": {arguments}}}\n</tool_call>'
    assert allows(machine, f"{call}\n<tool_call>\n{call}")
