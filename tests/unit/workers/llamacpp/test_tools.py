"""Tools over HTTP: what reaches the template, and what comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from llamacpp.server.generation import Generation, StepOutput
from tests.unit.workers._shared.grammars.walks import allows
from tests.unit.workers._shared.tools import templates
from tests.unit.workers.llamacpp.asking import CHAT, Reply, Script, ScriptedScheduler, ask, chat
from tests.unit.workers.llamacpp.vocabulary import ByteVocabulary

PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOLS = [
    {"type": "function", "function": {"name": "add", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "now"}},
]
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 12}}\n</tool_call>'
FORCED = '{"name": "add", "arguments": {"a": 12}}\n</tool_call>'


def asked(
    body: dict[str, object],
    *,
    script: Script,
    template: str = templates.QWEN,
    scheduler: ScriptedScheduler | None = None,
) -> Reply:
    return ask(
        "POST",
        CHAT,
        body,
        script=script,
        scheduler=scheduler,
        template=template,
        vocabulary=ByteVocabulary(),
        context=4000,
    )


def says(text: str, size: int = 5) -> Script:
    def script(generation: Generation) -> list[StepOutput]:
        pieces = [text[place : place + size] for place in range(0, len(text), size)]
        outputs = [StepOutput(generation, piece, []) for piece in pieces]
        return [*outputs, StepOutput(generation, "", [], finish="stop")]

    return script


def prompt_of(scheduler: ScriptedScheduler) -> str:
    generation = scheduler.submitted[0]
    return bytes(generation.tokens[: generation.prompt_tokens]).decode()


def test_a_call_in_an_answer_is_a_call() -> None:
    reply = asked(chat(tools=TOOLS), script=says(f"Well.{CALL}"))
    choice = reply.body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Well."
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["function"] == {"name": "add", "arguments": '{"a": 12}'}
    assert len(call["id"]) == 9


def test_an_answer_without_a_call_is_text() -> None:
    choice = asked(chat(tools=TOOLS), script=says("Hello")).body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hello"}
    assert choice["finish_reason"] == "stop"


def test_a_streamed_call_has_its_name_first_and_then_its_arguments() -> None:
    reply = asked(chat(tools=TOOLS, stream=True), script=says(CALL))
    choices = [event["choices"][0] for event in reply.events]
    parts = [part for choice in choices for part in choice["delta"].get("tool_calls", [])]
    assert parts[0]["function"] == {"name": "add", "arguments": ""}
    assert {part["index"] for part in parts} == {0}
    assert all("id" not in part for part in parts[1:])
    arguments = "".join(part["function"]["arguments"] for part in parts)
    assert json.loads(arguments) == {"a": 12}
    assert choices[-1]["finish_reason"] == "tool_calls"
    assert not any(choice["delta"].get("content") for choice in choices)


@pytest.mark.parametrize(
    ("choice", "good", "bad"),
    [
        ("required", '{"name": "now", "arguments": {}}\n</tool_call>', "Hello"),
        (
            {"type": "function", "function": {"name": "add"}},
            FORCED,
            '{"name": "now", "arguments": {}}\n</tool_call>',
        ),
    ],
    ids=["required", "named"],
)
def test_an_answer_that_has_to_be_a_call_is_held_to_it(choice: Any, good: str, bad: str) -> None:
    scheduler = ScriptedScheduler(says(FORCED))
    reply = asked(chat(tools=TOOLS, tool_choice=choice), script=says(FORCED), scheduler=scheduler)
    grammar = scheduler.submitted[0].params.grammar
    assert grammar is not None
    assert allows(grammar, good)
    assert not allows(grammar, bad)
    assert reply.body["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "add"


def test_a_call_that_has_to_be_made_is_not_cut_by_a_stop_string() -> None:
    scheduler = ScriptedScheduler(says(FORCED))
    body = chat(tools=TOOLS, tool_choice="required", stop=["}"])
    asked(body, script=says(FORCED), scheduler=scheduler)
    detokenizer = scheduler.submitted[0].detokenizer
    assert detokenizer.feed(b"{}") == "{}"
    assert not detokenizer.stopped


def test_a_call_that_was_cut_is_not_said_to_be_made() -> None:
    cut = '<tool_call>\n{"name": "add", "arguments": {"a": 1'
    reply = asked(chat(tools=TOOLS), script=says(cut))
    assert reply.body["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(("several", "allowed"), [(True, True), (False, False)])
def test_parallel_calls_are_the_clients_choice(several: bool, allowed: bool) -> None:
    scheduler = ScriptedScheduler(says(FORCED))
    body = chat(tools=TOOLS, tool_choice="required", parallel_tool_calls=several)
    asked(body, script=says(FORCED), scheduler=scheduler)
    grammar = scheduler.submitted[0].params.grammar
    assert grammar is not None
    assert allows(grammar, f"{FORCED}\n<tool_call>\n{FORCED}") == allowed


def test_none_is_text_and_nothing_is_said_of_tools() -> None:
    scheduler = ScriptedScheduler(says(CALL))
    reply = asked(chat(tools=TOOLS, tool_choice="none"), script=says(CALL), scheduler=scheduler)
    assert reply.body["choices"][0]["message"]["content"] == CALL
    assert prompt_of(scheduler) == "<|user|>5 6<|assistant|>"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [{"type": "web_search", "function": {"name": "a"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools"),
        ({"tools": [{"function": {"name": "a", "parameters": "x"}}]}, "tools"),
        ({"tools": TOOLS, "tool_choice": "always"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"function": {"name": "sub"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {"tools": TOOLS, "tool_choice": "required", "response_format": {"type": "json_object"}},
            "tool_choice",
        ),
        (
            {
                "tools": [
                    {"function": {"name": "a", "parameters": {"type": "object", "not": {"a": 1}}}}
                ],
                "tool_choice": "required",
            },
            "tools",
        ),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"bos_token": "x"}}, "chat_template_kwargs"),
    ],
)
def test_what_cannot_be_done_names_its_field(fields: dict[str, Any], param: str) -> None:
    reply = asked(chat(**fields), script=says("Hello"))
    assert reply.status == 400
    assert reply.body["error"]["param"] == param


def test_tools_and_calls_reach_a_template_that_knows_them() -> None:
    messages = [
        {"role": "user", "content": "5"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "6"},
    ]
    scheduler = ScriptedScheduler(says("12"))
    asked({"messages": messages, "tools": TOOLS}, script=says("12"), scheduler=scheduler)
    seen = prompt_of(scheduler)
    assert json.dumps(TOOLS[0]) in seen
    assert '<tool_call>{"name": "add", "arguments": {}}</tool_call>' in seen
    assert seen.endswith("<|tool|>6<|assistant|>")


def test_a_template_that_knows_no_tools_is_told_in_words() -> None:
    scheduler = ScriptedScheduler(says(FORCED))
    body = chat(tools=TOOLS, tool_choice="required")
    reply = asked(body, script=says(FORCED), template=templates.PLAIN, scheduler=scheduler)
    assert "<tools>" in prompt_of(scheduler)
    assert prompt_of(scheduler).endswith("<|assistant|><tool_call>\n")
    assert reply.body["choices"][0]["message"]["tool_calls"]


def test_kwargs_reach_the_template() -> None:
    scheduler = ScriptedScheduler(says("x"))
    body = chat(chat_template_kwargs={"mood": "calm"})
    asked(
        body, script=says("x"), template="{{ mood }}{{ messages[0].content }}", scheduler=scheduler
    )
    assert prompt_of(scheduler) == "calm5 6"


@pytest.mark.parametrize("template", ["{{ 1 / 0 }}", "{{ messages[9].x.y }}", "{{ x() }}"])
def test_a_template_that_breaks_is_the_requests_error(template: str) -> None:
    reply = asked(chat(), script=says("x"), template=template)
    assert reply.status == 400
    assert reply.body["error"]["param"] == "messages"


THOUGHT = "<|channel|>analysis<|message|>Five and six.<|end|><|start|>assistant"
SAID = f"{THOUGHT}<|channel|>final<|message|>Eleven."


def in_channels(body: dict[str, object], text: str) -> tuple[Reply, ScriptedScheduler]:
    scheduler = ScriptedScheduler(says(text))
    reply = asked(body, script=says(text), template=templates.HARMONY, scheduler=scheduler)
    return reply, scheduler


def test_thoughts_in_a_channel_are_no_content() -> None:
    reply, scheduler = in_channels(chat(), SAID)
    message = reply.body["choices"][0]["message"]
    assert message == {
        "role": "assistant",
        "content": "Eleven.",
        "reasoning_content": "Five and six.",
    }
    assert prompt_of(scheduler).endswith("<|start|>assistant")


def test_streamed_thoughts_come_apart() -> None:
    reply, _ = in_channels(chat(stream=True), SAID)
    deltas = [event["choices"][0]["delta"] for event in reply.events]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Five and six."
    assert "".join(delta.get("content", "") for delta in deltas) == "Eleven."
    assert reply.events[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_call_in_a_channel_is_a_call_of_the_tools_that_there_are() -> None:
    call = f'{THOUGHT} to=functions.add<|channel|>commentary json<|message|>{{"a": 12}}'
    choice = in_channels(chat(tools=TOOLS), call)[0].body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning_content"] == "Five and six."
    function = choice["message"]["tool_calls"][0]["function"]
    assert function == {"name": "add", "arguments": '{"a": 12}'}
    without = in_channels(chat(), call)[0].body["choices"][0]
    assert without["finish_reason"] == "stop"
    assert "tool_calls" not in without["message"]


def test_a_form_is_held_in_the_channel_for_people() -> None:
    body = chat(response_format={"type": "json_object"})
    reply, scheduler = in_channels(body, '{"a": 1}')
    assert reply.body["choices"][0]["message"] == {"role": "assistant", "content": '{"a": 1}'}
    assert prompt_of(scheduler).endswith("<|start|>assistant<|channel|>final<|message|>")
    grammar = scheduler.submitted[0].params.grammar
    assert grammar is not None
    assert allows(grammar, '{"a": 1}')


def test_a_call_that_has_to_be_made_is_made_in_its_channel() -> None:
    text = 'add<|message|>{"a": 12}'
    reply, scheduler = in_channels(chat(tools=TOOLS, tool_choice="required"), text)
    assert prompt_of(scheduler).endswith("<|channel|>commentary to=functions.")
    grammar = scheduler.submitted[0].params.grammar
    assert grammar is not None
    assert allows(grammar, text)
    assert not allows(grammar, f"{text}{text}")
    assert reply.body["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "add"
