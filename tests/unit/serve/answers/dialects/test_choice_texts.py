"""Which texts of a choice are judged: all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmops_cli.guard.check import Guard
from llmops_cli.serve.answers.choices_stream import ChoicesStream
from llmops_cli.serve.answers.dialects.chat import ChatChoices
from llmops_cli.serve.answers.dialects.choice_texts import places_of_whole
from llmops_cli.serve.answers.whole_guard import guarded_answer
from llmops_cli.serve.endpoints import CHAT

Json = dict[str, Any]
CARD = "4111 1111 1111 1111"
SAID = f"My card is {CARD} ok"
SHOWN = Guard().check_output(SAID).text


def passed(deltas: list[Json], **fields: Any) -> list[Json]:
    """The chunks that a guarded stream of these lets go."""
    chunks = [{"id": "x", **fields, "choices": [{"index": 0, "delta": d}]} for d in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    raw = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    reader = ChoicesStream(CHAT.path, ChatChoices(), Guard())
    out = reader.feed(raw.encode()) + reader.finish()
    lines = [line[6:] for line in out.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def joined(chunks: list[Json], *path: str | int) -> str:
    """What a client puts together at one place of its deltas."""
    found = ""
    for chunk in chunks:
        value: Any = chunk["choices"][0]["delta"]
        for step in path:
            if isinstance(value, list):
                value = value[0] if value else None
            value = value.get(step) if isinstance(value, dict) else None
        found += value or ""
    return found


ACCUMULATED: list[tuple[str, ...]] = [
    ("content",),
    ("reasoning_content",),
    ("reasoning",),
    ("refusal",),
    ("tool_calls", "function", "arguments"),
    ("tool_calls", "custom", "input"),
    ("function_call", "arguments"),
    ("audio", "transcript"),
    ("reasoning_details", "text"),
    ("reasoning_details", "summary"),
]


def delta_of(path: tuple[str, ...], text: str) -> Json:
    found: Any = text
    for step in reversed(path):
        found = {step: found}
        if step in ("tool_calls", "reasoning_details"):
            found[step] = [{"index": 0, **found[step]}]
    return dict(found)


@pytest.mark.parametrize("path", ACCUMULATED, ids=".".join)
@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_text_in_pieces_is_judged_whole(path: tuple[str, ...], size: int) -> None:
    pieces = [SAID[i : i + size] for i in range(0, len(SAID), size)]
    chunks = passed([delta_of(path, piece) for piece in pieces])
    assert joined(chunks, *path) == SHOWN


@pytest.mark.parametrize("path", ACCUMULATED, ids=".".join)
def test_a_whole_answer_is_read_at_the_same_places(path: tuple[str, ...]) -> None:
    whole = {"choices": [{"index": 0, "message": delta_of(path, SAID), "finish_reason": "stop"}]}
    found = guarded_answer(Guard(), json.dumps(whole).encode(), CHAT)
    assert b"1111" not in found.body
    assert found.verdict is not None


def test_what_spells_a_text_again_does_not_pass() -> None:
    tokens = [{"token": token, "logprob": -0.1} for token in SAID.split(" ")]
    raw = {"index": 0, "delta": {"content": SAID}, "logprobs": {"content": tokens}}
    reader = ChoicesStream(CHAT.path, ChatChoices(), Guard())
    assert b"1111" not in reader.feed(f"data: {json.dumps({'choices': [raw]})}\n\n".encode())
    message = {"role": "assistant", "content": SAID}
    whole = {"choices": [{"message": message, "logprobs": {"content": tokens}}]}
    found = json.loads(guarded_answer(Guard(), json.dumps(whole).encode(), CHAT).body)
    assert found["choices"][0] == {
        "message": {"role": "assistant", "content": SHOWN},
        "logprobs": None,
    }


def test_what_nobody_knows_is_left_out_of_a_stream_and_judged_in_a_whole_answer() -> None:
    delta = {"content": "Hi", "thoughts": {"deep": [SAID]}, "role": "assistant", "share": 0.5}
    first = passed([delta], note=SAID, citations=[f"http://x/{CARD}"], model="m")[0]
    assert first["choices"][0]["delta"] == {"content": "", "role": "assistant", "share": 0.5}
    assert (first["id"], first["model"]) == ("x", "m")
    assert "1111 1111" not in json.dumps(first)
    message = {"content": "Hi", "thoughts": {"deep": [SAID]}}
    whole = {"note": SAID, "choices": [{"message": message, "extra": SAID}]}
    assert [place.text for place in places_of_whole(whole)] == [SAID, "Hi", SAID, SAID]
    assert b"1111" not in guarded_answer(Guard(), json.dumps(whole).encode(), CHAT).body


def test_what_a_tool_is_called_and_a_thoughts_signature_pass_as_they_are() -> None:
    call = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "pay", "arguments": ""},
        "extra_content": {"google": {"thought_signature": "c2lnbmF0dXJl"}},
    }
    first = passed([{"tool_calls": [call]}])[0]
    assert first["choices"][0]["delta"]["tool_calls"] == [call]


def test_a_comment_and_an_event_without_choices_are_not_repeated() -> None:
    reader = ChoicesStream(CHAT.path, ChatChoices(), Guard())
    out = reader.feed(f": {SAID}\n\n".encode())
    out += reader.feed(f"data: {json.dumps({'said': SAID, 'usage': None})}\n\n".encode())
    assert b"1111" not in out
    assert out.startswith(b": \n\n")


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": SAID}]},
    {"type": "text", "text": SAID},
]
"""Mistral's form of what is said."""
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ODD: list[Json] = [
    {"content": PARTS},
    {"content": {"text": SAID}},
    {"content": [SAID]},
    {"reasoning": {"text": SAID}},
    {"refusal": [SAID]},
    {"tool_calls": [{**CALL, "function": {"name": SAID, "arguments": "{}"}}]},
    {"tool_calls": [{**CALL, "function": {"name": "f", "arguments": {"x": SAID}}}]},
    {"tool_calls": [{**CALL, "server": {"output": SAID}}]},
    {"function_call": {"name": "f", "arguments": {"x": SAID}}},
    {"audio": {"transcript": [SAID]}},
    {"reasoning_details": [{"type": "x", "title": SAID}]},
]


@pytest.mark.parametrize("said", ODD)
def test_a_text_of_another_form_is_judged_too(said: Json) -> None:
    """Whatever form an upstream gives to what it says: whole, and in a piece of a stream."""
    message = {"role": "assistant", "content": "ok", **said}
    whole = {"choices": [{"index": 0, "message": message}]}
    assert b"1111 1111" not in guarded_answer(Guard(), json.dumps(whole).encode(), CHAT).body
    assert "1111 1111" not in json.dumps(passed([said]))


@pytest.mark.parametrize("whole", [{"message": {"content": SAID}}, {"choices": [SAID]}, [SAID]])
def test_an_answer_of_no_known_form_is_judged_too(whole: object) -> None:
    assert b"1111 1111" not in guarded_answer(Guard(), json.dumps(whole).encode(), CHAT).body


def test_what_stands_beside_a_message_is_judged_too() -> None:
    choice = {"index": 0, "delta": {"content": "ok"}, "text": SAID, "message": {"content": SAID}}
    raw = {"choices": [choice]}
    assert b"1111 1111" not in guarded_answer(Guard(), json.dumps(raw).encode(), CHAT).body
    reader = ChoicesStream(CHAT.path, ChatChoices(), Guard())
    assert b"1111 1111" not in reader.feed(f"data: {json.dumps(raw)}\n\n".encode())


@pytest.mark.parametrize("size", [1, 3, 50])
def test_parts_in_pieces_are_one_text(size: int) -> None:
    pieces = [SAID[i : i + size] for i in range(0, len(SAID), size)]
    thoughts = [{"type": "thinking", "thinking": [{"type": "text", "text": t}]} for t in pieces]
    words = [{"type": "text", "text": piece} for piece in pieces]
    chunks = passed([{"content": [part]} for part in (*thoughts, *words)])
    assert joined(chunks, "reasoning_content") == SHOWN
    assert joined(chunks, "content") == SHOWN
