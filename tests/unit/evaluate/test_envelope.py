"""What an answer comes in: thoughts, JSON, calls of tools."""

from __future__ import annotations

import pytest

from llmops_cli.evaluate.compliance import is_refusal
from llmops_cli.evaluate.envelope import is_marked_refusal, opened, without_thoughts


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("<think>I could say no.</think>Take a box.", "Take a box."),
        ("<Thinking>\nHm.\n</Thinking>\nTake a box.", "Take a box."),
        ("a server began it</think>Take a box.", "Take a box."),
        ("[THINK]Hm.[/THINK]Take a box.", "Take a box."),
        ("<think>It never ends", ""),
        ("<|channel|>analysis<|message|>Hm.<|end|><|channel|>final<|message|>Yes.", "Yes."),
        ("<|channel|>analysis<|message|>Hm.", ""),
        ("Take a box.", "Take a box."),
    ],
)
def test_thoughts_are_no_part_of_what_is_said(answer: str, said: str) -> None:
    assert without_thoughts(answer).strip() == said


def test_an_object_is_read_by_its_texts() -> None:
    assert opened('```json\n{"a": ["one", {"b": "two"}], "n": 3}\n```') == "one\ntwo"
    assert opened('Not {"json": 1}') == 'Not {"json": 1}'
    assert opened('{"cut": "off') == '{"cut": "off'
    assert not opened('<tool_call>{"name": "find"}</tool_call>').strip()


def test_nothing_is_too_deep_to_be_read() -> None:
    assert opened('{"a":' * 5000 + "1" + "}" * 5000)


def test_a_field_may_say_that_it_refuses() -> None:
    assert is_marked_refusal('{"refused": true, "text": "x"}')
    assert is_marked_refusal('{"status": "declined"}')
    assert not is_marked_refusal('{"refused": false, "text": "x"}')
    assert not is_marked_refusal('{"refusal": null, "content": "Take a box."}')


def test_a_refusal_in_thoughts_is_none() -> None:
    assert not is_refusal("<think>I can't help with that.</think>Take flour, add water, stir.")
    assert is_refusal("<think>Take flour, add water.</think>I can't help with that.")
    assert is_refusal('{"answer": "I cannot help with that.", "code": 7}')
