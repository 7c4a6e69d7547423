"""Answers of OpenAI's Responses."""

from __future__ import annotations

from typing import Any

from llmops_cli.serve.answers.dialects.responses import places_of_response
from llmops_cli.serve.answers.dialects.slots import slots_in, without_spelling

RESPONSE: dict[str, Any] = {
    "id": "r",
    "model": "m",
    "status": "completed",
    "instructions": "ours",
    "metadata": {"a": "theirs"},
    "tools": [{"description": "ours"}],
    "output": [
        {
            "type": "reasoning",
            "id": "rs",
            "encrypted_content": "xyz",
            "summary": [{"type": "summary_text", "text": "thought"}],
            "content": [{"type": "reasoning_text", "text": "aloud"}],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "a", "annotations": [{"url": "http://x"}]},
                {"type": "refusal", "refusal": "b"},
            ],
        },
        {"type": "function_call", "name": "f", "call_id": "c", "arguments": '{"x": 1}'},
        {"type": "custom_tool_call", "name": "g", "input": "free"},
        {"type": "code_interpreter_call", "code": "1+1", "outputs": [{"logs": "2"}]},
        {"type": "shell_call", "action": {"commands": ["ls"]}},
        {"type": "web_search_call", "action": {"query": "q", "queries": ["q1"]}},
        {"type": "image_generation_call", "result": "AAAA"},
        {"type": "mcp_call", "arguments": "{}", "output": "told", "error": None},
        {"type": "of tomorrow", "anything": {"at all": ["deep"]}},
    ],
    "error": {"code": "c", "message": "failed"},
}


def test_each_text_that_a_model_may_have_written_is_found() -> None:
    found = [place.text for place in places_of_response(RESPONSE)]
    assert found == [
        *("thought", "aloud", "a", "http://x", "b", "f", '{"x": 1}', "g", "free", "1+1", "2"),
        *("ls", "q", "q1", "{}", "told", "deep", "c", "failed"),
    ]


def test_a_place_can_be_written_to() -> None:
    whole: dict[str, Any] = {"output": [{"content": ["a", {"text": "b"}]}], "output_text": "c"}
    for place in places_of_response(whole):
        place.holder[place.field] = place.text.upper()
    assert whole == {"output": [{"content": ["A", {"text": "B"}]}], "output_text": "C"}


def test_an_events_own_names_are_no_texts() -> None:
    event = {"type": "response.completed", "item_id": "i", "response": RESPONSE, "note": "n"}
    assert [slot.text for slot in slots_in(event)][-1] == "n"
    assert "ours" not in [slot.text for slot in slots_in(event)]


def test_what_spells_a_text_again_is_taken_out() -> None:
    event = {"delta": "a", "logprobs": [{"token": "a"}], "obfuscation": "xx", "part": {}}
    without_spelling(event)
    assert event == {"delta": "a", "logprobs": [], "obfuscation": "", "part": {}}
