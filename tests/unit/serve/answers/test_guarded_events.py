"""Streams of typed events under the guard: nothing passes unjudged, and all of it agrees."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.guard.check import Guard
from llmops_cli.guard.policy import load_policy
from llmops_cli.serve.answers.guarded_events import GuardedEvents
from llmops_cli.serve.upstreams.errors import MalformedAnswer, UpstreamError
from tests.unit.serve.streams import cut, places

Json = dict[str, Any]
CARD = "4111 1111 1111 1111"
SECRET = f"My card is {CARD} ok, and so on and on."
AT = {"item_id": "i", "output_index": 0, "content_index": 0}
USAGE = {"input_tokens": 5, "output_tokens": 70, "total_tokens": 75}


def response(text: str, **fields: Any) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "i", "role": "assistant", "content": [part]}
    return {"id": "r", "object": "response", "output": [item], "usage": USAGE, **fields}


def answer(text: str, size: int = 5) -> list[Json]:
    """As OpenAI tells a text: in deltas, then three times whole."""
    whole = response(text, status="completed", instructions=f"Never tell {CARD}")
    head = {**whole, "output": [], "status": "in_progress"}
    part = whole["output"][0]["content"][0]
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    return [
        {"type": "response.created", "response": head},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}},
        {"type": "response.content_part.added", **AT, "part": {**part, "text": ""}},
        *(
            {
                "type": "response.output_text.delta",
                **AT,
                "delta": piece,
                "logprobs": [{"token": piece}],
                "obfuscation": "abc",
            }
            for piece in pieces
        ),
        {"type": "response.output_text.done", **AT, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **AT, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": whole["output"][0]},
        {"type": "response.completed", "response": whole},
    ]


def raw(events: list[Json], *, numbered: bool = True) -> bytes:
    found = b""
    for number, event in enumerate(events):
        if numbered:
            event = {**event, "sequence_number": number}
        found += f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    return found


def passed(
    events: bytes, guard: Guard | None = None, cuts: list[int] | None = None
) -> tuple[list[Json], GuardedEvents]:
    reader = GuardedEvents(guard or Guard(), "/v1/responses")
    out = b"".join(reader.feed(piece) for piece in cut(events, cuts or []))
    out += reader.finish()
    found = []
    for block in out.split(b"\n\n"):
        data = block.partition(b"data: ")[2]
        if data:
            event = json.loads(data)
            assert block.startswith(b"event: " + event["type"].encode())
            found.append(event)
    return found, reader


def deltas(events: list[Json]) -> str:
    return "".join(event["delta"] for event in events if event["type"].endswith("text.delta"))


def test_what_is_harmless_passes_as_it_is_but_for_what_spells_it() -> None:
    events = answer("Hello there, all is well.")
    found, reader = passed(raw(events))
    assert deltas(found) == "Hello there, all is well."
    for event in [*events, *found]:
        event.pop("obfuscation", None)
        event.pop("logprobs", None)
        event.pop("sequence_number", None)
    whole = [event for event in found if "delta" not in event]
    assert whole == [event for event in events if "delta" not in event]
    assert reader.verdict is None
    assert (reader.usage.input_tokens, reader.usage.output_tokens) == (5, 70)


@given(st.integers(1, 40), places)
def test_a_redacted_text_is_the_same_everywhere(size: int, cuts: list[int]) -> None:
    found, reader = passed(raw(answer(SECRET, size)), cuts=cuts)
    shown = Guard().check_output(SECRET).text
    assert CARD not in shown
    assert deltas(found) == shown
    kinds = {event["type"]: event for event in found}
    assert kinds["response.output_text.done"]["text"] == shown
    assert kinds["response.content_part.done"]["part"]["text"] == shown
    assert kinds["response.output_item.done"]["item"]["content"][0]["text"] == shown
    completed = kinds["response.completed"]["response"]
    assert completed["output"][0]["content"][0]["text"] == shown
    assert completed["instructions"] == f"Never tell {CARD}", "what the request said is its own"
    said = json.dumps([{**event, "response": None} for event in found])
    assert "1111" not in said
    numbers = [event["sequence_number"] for event in found]
    assert numbers == list(range(len(found)))
    assert reader.verdict is not None
    assert reader.verdict.action == "redact"


def test_words_come_before_the_end() -> None:
    """The point of it: a guarded stream is a stream."""
    reader = GuardedEvents(Guard(), "/v1/responses")
    events = answer("One two three four five six seven eight nine ten.")
    shown = [reader.feed(raw([event])) for event in events[:8]]
    pieces = [json.loads(each.partition(b"data: ")[2])["delta"] for each in shown[3:]]
    assert "".join(pieces).startswith("One two three")


FORMS = [
    ("response.function_call_arguments", "arguments"),
    ("response.mcp_call_arguments", "arguments"),
    ("response.custom_tool_call_input", "input"),
    ("response.code_interpreter_call_code", "code"),
    ("response.reasoning_text", "text"),
    ("response.reasoning_summary_text", "text"),
    ("response.refusal", "refusal"),
    ("response.audio.transcript", "transcript"),
    ("response.shell_call_command", "command"),
    ("response.of_tomorrow", "words"),
    ("transcript.text", "text"),
]


@pytest.mark.parametrize(("stem", "field"), FORMS)
def test_every_text_that_comes_in_pieces_is_judged(stem: str, field: str) -> None:
    at = {"item_id": "i", "output_index": 1}
    pieces = [SECRET[i : i + 3] for i in range(0, len(SECRET), 3)]
    events: list[Json] = [{"type": f"{stem}.delta", **at, "delta": piece} for piece in pieces]
    events.append({"type": f"{stem}.done", **at, field: SECRET})
    last = {**response("ok"), "output": [{"type": "of its kind", field: SECRET}]}
    events.append({"type": "response.completed", "response": last})
    found, reader = passed(raw(events))
    shown = Guard().check_output(SECRET).text
    assert "".join(event.get("delta", "") for event in found) == shown
    assert found[-2][field] == shown
    assert found[-1]["response"]["output"][0][field] == shown
    assert reader.verdict is not None


def test_texts_that_interleave_are_each_their_own() -> None:
    places = [{"item_id": "i", "output_index": 0, "content_index": n} for n in (0, 1)]
    events: list[Json] = []
    for one, two in zip(SECRET, reversed(SECRET), strict=True):
        events.append({"type": "response.output_text.delta", **places[0], "delta": one})
        events.append({"type": "response.output_text.delta", **places[1], "delta": two})
    events.append({"type": "response.completed", "response": response("ok")})
    found, _ = passed(raw(events))
    texts = ["", ""]
    for event in found:
        if "delta" in event:
            texts[event["content_index"]] += event["delta"]
    assert texts == [Guard().check_output(each).text for each in (SECRET, SECRET[::-1])]


def test_a_summarys_end_does_not_open_the_reasoning_again() -> None:
    at = {"item_id": "i", "output_index": 0}
    half = len("My card is 4111 1111")
    delta = {"type": "response.reasoning_text.delta", **at, "content_index": 0}
    events = [
        {**delta, "delta": SECRET[:half]},
        {"type": "response.reasoning_summary_text.done", **at, "summary_index": 0, "text": "x"},
        {"type": "response.reasoning_summary_part.done", **at, "summary_index": 0, "part": {}},
        {"type": "response.content_part.done", **at, "content_index": 1, "part": {}},
        {**delta, "delta": SECRET[half:]},
        {"type": "response.completed", "response": response("ok")},
    ]
    found, _ = passed(raw(events))
    assert "1111" not in json.dumps(found)


def test_a_text_that_goes_on_after_its_end_is_refused() -> None:
    events = answer("Hello")[:-1]
    with pytest.raises(MalformedAnswer):
        passed(raw([*events, events[3]]))


def test_pieces_that_are_objects() -> None:
    kind = "response.shell_call_output_content.delta"
    at = {"item_id": "i", "output_index": 0, "command_index": 0}
    events = [
        {"type": kind, **at, "delta": {"stdout": piece, "stderr": "e"}}
        for piece in (SECRET[:18], SECRET[18:])
    ]
    events.append({"type": "response.completed", "response": response("ok")})
    found, _ = passed(raw(events))
    said = "".join(event["delta"].get("stdout", "") for event in found if event["type"] == kind)
    assert said == Guard().check_output(SECRET).text


def test_an_unknown_event_passes_only_without_words() -> None:
    events = [
        {"type": "response.tomorrow.begun", "item_id": "i", "output_index": 0, "share": 0.5},
        {"type": "response.tomorrow.told", "words": "My card is 4111"},
        {"type": "response.web_search_call.searching", "item_id": "i", "output_index": 0},
        {"type": "response.completed", "response": response("ok")},
    ]
    found, _ = passed(raw(events))
    assert [event["type"] for event in found] == [
        "response.tomorrow.begun",
        "response.web_search_call.searching",
        "response.completed",
    ]


def test_a_comment_of_the_upstream_is_not_repeated() -> None:
    events = f": {SECRET}\n\n".encode() + raw([{"type": "response.completed", "response": {}}])
    reader = GuardedEvents(Guard(), "/v1/responses")
    assert b"card" not in reader.feed(events) + reader.finish()


@pytest.fixture
def strict(tmp_path: Any) -> Guard:
    """A policy that blocks a word."""
    file = tmp_path / "policy.yaml"
    file.write_text("output: {blocklist: {action: block, words: [forbidden]}}\n")
    return Guard(load_policy(file))


@pytest.mark.parametrize("where", ["delta", "done", "item", "completed"])
def test_a_blocked_text_ends_the_stream(where: str, strict: Guard) -> None:
    text = "Nothing much. " * 9
    events = answer(text, 20)
    bad = f"{text} forbidden {text}"
    if where == "delta":
        events = answer(bad, 20)
    elif where == "done":
        events[-4]["text"] = bad
    elif where == "item":
        events[-2]["item"]["content"].append({"type": "output_text", "text": bad})
    else:
        events[-1]["response"] = response(bad)
    found, reader = passed(raw(events), strict)
    if where == "delta":
        assert len(deltas(found)) < len(bad) - len(text) + 64, "cut off, as a chat's stream is"
    else:
        assert "forbidden" not in json.dumps(found)
    assert [event["type"] for event in found[-2:]] == ["error", "response.incomplete"]
    assert found[-2]["code"] == "content_filter"
    ended = found[-1]["response"]
    assert (ended["status"], ended["output"]) == ("incomplete", [])
    assert ended["incomplete_details"] == {"reason": "content_filter"}
    assert reader.verdict is not None
    assert reader.verdict.action == "block"
    assert reader.feed(raw(events)) == b""


def test_a_stream_without_an_end_is_broken() -> None:
    with pytest.raises(UpstreamError):
        passed(raw(answer("Hello")[:-1]))
    for odd in (b"data: {\n\n", b"data: [1]\n\n", b'data: {"type": 1, "delta": 5}\n\n'):
        with pytest.raises(UpstreamError):
            passed(odd)


def test_events_of_any_size_are_joined_once() -> None:
    text = "a b c d " * 400_000
    events = raw([{"type": "response.completed", "response": response(text)}])
    edges = [*range(0, len(events), 1000), len(events)]
    reader = GuardedEvents(Guard(), "/v1/responses")
    pieces = [events[start:end] for start, end in pairwise(edges)]
    shown = b"".join([reader.feed(piece) for piece in pieces]) + reader.finish()
    assert reader.usage.output_tokens == 70
    assert b"a b c d" in shown or reader.verdict is not None
