"""A chat completion's stream as Anthropic's events."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings

from llmops_cli.serve.answers.dialects.messages_stream import MessagesStream
from tests.unit.serve.streams import cut, places, stream_of, words


def events_of(pieces: list[bytes]) -> list[dict[str, Any]]:
    stream = MessagesStream("msg_1", "m")
    raw = b"".join(map(stream.feed, pieces)) + stream.finish()
    return [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: ")]


def check_order(events: list[dict[str, Any]]) -> None:
    """Blocks open and close one after the other, between a start and a stop."""
    assert events[0]["type"] == "message_start"
    assert events[-1]["type"] == "message_stop"
    opened = [event["index"] for event in events if event["type"] == "content_block_start"]
    closed = [event["index"] for event in events if event["type"] == "content_block_stop"]
    assert opened == closed == list(range(len(opened)))


def text_of(events: list[dict[str, Any]]) -> str:
    deltas = (event["delta"] for event in events if event["type"] == "content_block_delta")
    return "".join(delta["text"] for delta in deltas)


@settings(max_examples=200)
@given(pieces=words, places=places)
def test_events_mean_the_same_wherever_ours_are_cut(pieces: list[str], places: list[int]) -> None:
    raw = stream_of(pieces)
    for way in ([raw], cut(raw, places)):
        events = events_of(way)
        check_order(events)
        assert events[-2]["usage"] == {"input_tokens": 5, "output_tokens": 7}
        assert text_of(events) == "".join(pieces)


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {
        "index": 0,
        "delta": delta,
        "finish_reason": reason,
    }
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def test_thoughts_text_and_tools_are_blocks_of_their_own() -> None:
    call = {
        "index": 0,
        "id": "c1",
        "function": {"name": "f", "arguments": "{}"},
    }
    events = events_of(
        [
            chunk({"reasoning_content": "hm"}),
            chunk({"content": "so"}),
            chunk({"tool_calls": [call]}),
            chunk({}, "stop"),
            b"data: [DONE]\n\n",
        ]
    )
    check_order(events)
    blocks = [event["content_block"] for event in events if "content_block" in event]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
    assert blocks[2]["id"] == "c1"
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_an_error_ends_the_stream() -> None:
    stream = MessagesStream("msg_1", "m")
    said = stream.feed(b'data: {"error": {"message": "broke off"}}\n\n')
    assert said.startswith(b"event: error\n")
    assert b"broke off" in said
    assert stream.feed(chunk({"content": "more"})) == b""
    assert stream.finish() == b""
