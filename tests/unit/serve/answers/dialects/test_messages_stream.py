"""A chat completion's stream as Anthropic's events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from llmops_cli.serve.answers.dialects.messages_answer import Shown
from llmops_cli.serve.answers.dialects.messages_stream import PING, MessagesStream
from llmops_cli.serve.upstreams.errors import MalformedAnswer
from tests.unit.serve.streams import cut, places, stream_of, words

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
SHOWN = Shown(message_id="msg_1", model="m", stop_sequences=("END",))


def events_of(pieces: list[bytes]) -> list[dict[str, Any]]:
    stream = MessagesStream(SHOWN)
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
        usage = events[-2]["usage"]
        assert (usage["input_tokens"], usage["output_tokens"]) == (5, 7)
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
    stream = MessagesStream(SHOWN)
    said = stream.feed(b'data: {"error": {"message": "broke off"}}\n\n')
    assert said.startswith(b"event: error\n")
    assert b"broke off" in said
    assert stream.feed(chunk({"content": "more"})) == b""
    assert stream.finish() == b""


def calls(*pieces: dict[str, Any]) -> bytes:
    return chunk({"tool_calls": list(pieces)})


def piece(
    arguments: str | None = None,
    *,
    index: object = None,
    call_id: object = None,
    name: str | None = None,
) -> dict[str, Any]:
    found: dict[str, Any] = {"index": index, "id": call_id}
    found["function"] = {"name": name, "arguments": arguments}
    return {key: value for key, value in found.items() if value is not None}


END = [chunk({}, "tool_calls"), b"data: [DONE]\n\n"]
INTERLEAVED = [
    calls(piece("", index=0, call_id="a", name="f")),
    calls(piece("", index=1, call_id="b", name="g")),
    calls(piece('{"x":', index=0)),
    calls(piece('{"y":', index=1)),
    calls(piece("1}", index=0), piece("2}", index=1)),
]
UNINDEXED = [
    calls(piece('{"x":1}', call_id="a", name="f")),
    calls(piece('{"y":', call_id="b", name="g")),
    calls(piece("2}", call_id="b")),
]
ALL_ZERO = [
    calls(piece('{"x":1}', index=0, call_id="a", name="f")),
    calls(piece('{"y":2}', index=0, call_id="b", name="g")),
]
AT_ONCE = [calls(piece('{"x":1}', call_id="a", name="f"), piece('{"y":2}', call_id="b", name="g"))]
LATE = [
    calls(piece('{"x":', index=0)),
    calls(piece("1}", index=0, name="f")),
    calls(piece("", index=0, call_id="a"), piece('{"y":2}', index=1, name="g")),
    calls(piece(index=1, call_id="b")),
]
REPEATED = [
    calls(piece('{"x":', index=0, call_id="a", name="f")),
    calls(piece("1}", index=0, call_id="a", name="f")),
    calls(piece("", index=1, call_id="b", name="g")),
    calls(piece('{"y":2}', index=1, call_id="b", name="g")),
]


@pytest.mark.parametrize(
    "pieces", [INTERLEAVED, UNINDEXED, ALL_ZERO, AT_ONCE, LATE, REPEATED], ids=str
)
def test_each_tool_call_is_a_block_of_its_own(pieces: list[bytes]) -> None:
    events = events_of([*pieces, *END])
    check_order(events)
    message = accumulated(events)
    found = [(block.id, block.name, block.input) for block in message.content]
    assert found == [("a", "f", {"x": 1}), ("b", "g", {"y": 2})]
    assert message.stop_reason == "tool_use"


def test_calls_of_one_id_get_ids_of_their_own() -> None:
    pieces = [
        calls(piece("{}", index=0, call_id="a", name="f")),
        calls(piece("{}", index=1, call_id="a", name="g")),
    ]
    first, second = accumulated(events_of([*pieces, *END])).content
    assert (first.id, first.name, second.name) == ("a", "f", "g")
    assert second.id not in ("", "a")


def test_the_first_calls_input_is_told_as_it_comes() -> None:
    stream = MessagesStream(SHOWN)
    assert b"partial_json" not in stream.feed(calls(piece("", index=0, call_id="a", name="f")))
    assert b'"partial_json":"{\\"x\\":"' in stream.feed(calls(piece('{"x":', index=0)))
    stream.feed(calls(piece("1}", index=0)))
    assert b'"name":"g"' in stream.feed(calls(piece("", index=1, call_id="b", name="g")))


@pytest.mark.parametrize("arguments", ["[1]", "no", '"x"', "7"])
def test_an_input_that_is_no_object_is_told_as_one(arguments: str) -> None:
    events = events_of([calls(piece(arguments, index=0, call_id="a", name="f")), *END])
    (block,) = accumulated(events).content
    assert block.input == {"INVALID_JSON": arguments}


@pytest.mark.parametrize(
    "pieces",
    [
        [calls(piece('{"a"', index=0, call_id="a", name="f")), calls(piece("]", index=0))],
        [calls(piece("{}", index=0, call_id="a")), *END],
        [chunk({"content": 3})],
        [chunk({"tool_calls": 3})],
        [calls(piece(3, index=0, name="f"))],  # type: ignore[arg-type]
        [b'data: {"choices": 3}\n\n'],
        [b"data: [1]\n\n"],
        [b"data: " + b"[" * 100_000 + b"\n\n"],
    ],
)
def test_what_means_nothing_is_the_upstreams_fault(pieces: list[bytes]) -> None:
    with pytest.raises(MalformedAnswer):
        events_of(pieces)


def test_text_after_a_call_that_is_not_whole_waits_for_it() -> None:
    events = events_of(
        [
            calls(piece('{"x":', index=0, call_id="a", name="f")),
            chunk({"content": "so"}),
            calls(piece("1}", index=0)),
            *END,
        ]
    )
    check_order(events)
    message = accumulated(events)
    assert [block.type for block in message.content] == ["tool_use", "text"]


def test_reasoning_is_signed_with_the_field_that_it_came_from() -> None:
    for field in ("reasoning", "reasoning_content"):
        events = events_of(
            [chunk({field: "hm"}), chunk({field: "m"}), chunk({"content": "x"}), *END]
        )
        thought, text = accumulated(events).content
        assert (thought.thinking, thought.signature) == ("hmm", f"llmops:{field}")
        assert text.text == "x"


def test_thoughts_may_be_left_out() -> None:
    stream = MessagesStream(Shown(message_id="i", model="m", thoughts=False))
    said = stream.feed(chunk({"reasoning": "secret"}) + chunk({"content": "x"})) + stream.finish()
    assert b"secret" not in said
    assert b"signature_delta" in said


def test_a_stop_sequence_is_told() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}
    last = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    events = events_of([chunk({"content": "x"}), last])
    assert events[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


def test_an_upstreams_comment_is_a_ping() -> None:
    assert MessagesStream(SHOWN).feed(b": waiting\n\n") == PING


@pytest.mark.parametrize("error", ['"broke"', '{"message": "broke", "code": 503}', "[1]"])
def test_whatever_an_error_looks_like_it_is_told(error: str) -> None:
    said = MessagesStream(SHOWN).feed(f'data: {{"error": {error}}}\n\n'.encode())
    assert said.startswith(b"event: error\n")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
odd_pieces = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2) | json_values,
        "id": st.sampled_from(["a", "b"]) | json_values,
        "function": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["f", "g"]) | json_values,
                "arguments": st.sampled_from(["{", "}", '{"a":1}', '"', "[", "1"]) | json_values,
            },
        )
        | json_values,
    },
)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "content": st.text(max_size=3) | json_values,
        "reasoning": st.text(max_size=3) | json_values,
        "refusal": json_values,
        "tool_calls": st.lists(odd_pieces, max_size=3) | json_values,
        "function_call": json_values,
    },
)


@settings(max_examples=150)
@given(chunks=st.lists(deltas | json_values, max_size=6), reason=json_values, usage=json_values)
def test_whatever_is_streamed_is_a_message_or_the_upstreams_fault(
    chunks: list[Any], reason: object, usage: object
) -> None:
    """As Anthropic's own client puts it together."""
    pieces = [chunk(delta) for delta in chunks]
    last = {"choices": [{"delta": {}, "finish_reason": reason}], "usage": usage}
    pieces.append(b"data: " + json.dumps(last).encode() + b"\n\n")
    try:
        events = events_of(pieces)
    except MalformedAnswer:
        return
    check_order(events)
    accumulated(events)


def accumulated(events: list[dict[str, Any]]) -> Any:  # Any: the client's own
    """What Anthropic's client makes of events."""
    found = None
    buffers: dict[int, bytes] = {}
    for event in events:
        parsed = EVENTS.validate_python(event)
        found = accumulate_event(event=parsed, current_snapshot=found, json_bufs=buffers)
    return Message.model_validate(found.to_dict())
