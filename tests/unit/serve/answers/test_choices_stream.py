"""Laws of streams: cut anywhere, they mean the same; what is malformed is never a whole answer."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmops_cli.guard.check import Guard
from llmops_cli.serve.answers.choices_stream import ChoicesStream
from llmops_cli.serve.answers.dialects.chat import ChatChoices
from llmops_cli.serve.answers.dialects.choices import assembled, spelt
from llmops_cli.serve.answers.whole_guard import guarded_answer
from llmops_cli.serve.endpoints import CHAT
from llmops_cli.serve.upstreams.errors import EndedEarly, MalformedAnswer, UpstreamError
from tests.unit.serve.streams import cut, places, stream_of, text_in, words


def chat_stream(guard: Guard | None = None, *, hides_usage: bool = False) -> ChoicesStream:
    return ChoicesStream(CHAT.path, ChatChoices(), guard, hides_usage=hides_usage, keeps=True)


def passed(stream: ChoicesStream, pieces: list[bytes]) -> bytes:
    return b"".join(map(stream.feed, pieces)) + stream.finish()


@settings(max_examples=200)
@given(pieces=words, places=places)
def test_a_stream_passes_whole_wherever_it_is_cut(
    pieces: list[str],
    places: list[int],
) -> None:
    raw = stream_of(pieces)
    stream = chat_stream()
    assert passed(stream, cut(raw, places)) == stream_of(pieces)
    assert stream.usage.input_tokens == 5
    assert stream.usage.output_tokens == 7


@settings(max_examples=200)
@given(pieces=words, places=places)
def test_a_count_that_nobody_asked_for_is_read_and_hidden(
    pieces: list[str], places: list[int]
) -> None:
    stream = chat_stream(hides_usage=True)
    assert passed(stream, cut(stream_of(pieces), places)) == stream_of(pieces, usage=False)
    assert stream.usage.output_tokens == 7


@settings(max_examples=60)
@given(pieces=words, places=places)
def test_a_stream_without_a_count_has_the_same_estimate_wherever_it_is_cut(
    pieces: list[str], places: list[int]
) -> None:
    raw = stream_of(pieces, usage=False)
    once = chat_stream()
    several = chat_stream()
    assert passed(once, [raw]) == passed(several, cut(raw, places))
    assert once.usage.output_tokens == several.usage.output_tokens


@pytest.mark.parametrize(
    "odd",
    [
        b"data: {oops}\n\n",
        b'data: {"choices": []},{"choices": []}\n\n',
        b'data: {"error": {"message": "no"}}\n\n',
        b"data: []\n\n",
    ],
)
@pytest.mark.parametrize("before", [1, 5])
def test_an_odd_event_among_many_in_one_read_is_no_part_of_an_answer(
    odd: bytes, before: int
) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    with pytest.raises(UpstreamError):
        chat_stream().feed(event * before + odd + event)


def test_many_events_in_one_read_are_passed_without_those_that_nobody_asked_for() -> None:
    stream = chat_stream(hides_usage=True)
    event = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}],"usage":null}\n\n'
    count = b'data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":9}}\n\n'
    end = b"data: [DONE]\n\n"
    assert passed(stream, [event * 9 + count + end]) == event * 9 + end
    assert stream.usage.output_tokens == 9


@settings(max_examples=60, deadline=None)
@given(pieces=words, places=places)
def test_a_guarded_stream_says_the_same_wherever_it_is_cut(
    pieces: list[str], places: list[int]
) -> None:
    raw = stream_of([*pieces, " card 4111 1111", " 1111 1111 end"])
    whole = passed(chat_stream(Guard()), [raw])
    assert text_in(passed(chat_stream(Guard()), cut(raw, places))) == text_in(whole)
    assert b"1111 1111" not in whole


def test_a_guarded_stream_that_says_data_is_no_malformed_one() -> None:
    raw = stream_of(["the line is data: 3", " and data:4"])
    assert text_in(passed(chat_stream(Guard()), [raw])) == "the line is data: 3 and data:4"


NOT_WHOLE = (
    b"data: {oops\n\n",
    b"data: []\n\ndata: 3\n\n",
    b'data: {"choices": 3}\n\n',
    b'data: {"choices": [3]}\n\n',
    b'data: {"choices": [{"delta": [1]}]}\n\n',
    b'data: {"choices": [{"delta": {"tool_calls": [3]}}]}\n\n',
)


@given(
    raw=st.binary(max_size=400) | st.sampled_from(NOT_WHOLE),
    places=st.lists(st.integers(0, 400), max_size=8),
    guarded=st.booleans(),
)
@example(raw=b"", places=[], guarded=False)
@example(raw=b": a comment\n\n", places=[], guarded=True)
def test_garbage_is_never_a_whole_answer(
    raw: bytes,
    places: list[int],
    guarded: bool,
) -> None:
    """And no other exception than the one that tells so."""
    stream = chat_stream(Guard() if guarded else None)
    with pytest.raises(UpstreamError):
        passed(stream, cut(raw, places))


@pytest.mark.parametrize("raw", NOT_WHOLE[:2])
def test_an_event_that_is_no_object_ends_the_stream_at_once(raw: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        chat_stream().feed(raw)


@pytest.mark.parametrize("raw", NOT_WHOLE[3:5])
def test_a_guard_lets_no_choice_pass_that_it_cannot_read(raw: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        chat_stream(Guard()).feed(raw)


def test_a_stream_that_breaks_off_is_told() -> None:
    stream = chat_stream()
    first, end, _ = stream_of(["a", "b"]).partition(b"\n\n")
    stream.feed(first + end)
    with pytest.raises(UpstreamError, match="ended early"):
        stream.finish()


def test_words_behind_the_end_are_no_part_of_an_answer_in_whatever_read_they_come() -> None:
    late = b'data: {"choices":[{"index":0,"delta":{"content":"late"}}]}\n\n'
    for pieces in ([stream_of(["a"]) + late], [stream_of(["a"]), late]):
        stream = chat_stream()
        assert passed(stream, pieces) == stream_of(["a"])


def test_a_whole_stream_is_kept_as_one_object() -> None:
    stream = chat_stream()
    passed(stream, [stream_of(["a", " b"])])
    kept = stream.whole()
    assert kept is not None
    assert json.loads(kept)["choices"][0]["message"]["content"] == "a b"


def calls(*pieces: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"tool_calls": list(pieces)}, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


UNNUMBERED = [
    calls({"id": "a", "function": {"name": "f", "arguments": '{"q": "weather'}}),
    calls({"id": "a", "function": {"arguments": ' in Oslo"}'}}),
    calls({"id": "b", "function": {"name": "g", "arguments": '{"q": "time in'}}),
    calls({"id": "b", "function": {"arguments": ' Rome"}'}}, reason="tool_calls"),
    b"data: [DONE]\n\n",
]
WHOLE_CALLS = [
    ("a", "f", {"q": "weather in Oslo"}),
    ("b", "g", {"q": "time in Rome"}),
]


def found_calls(events: bytes) -> list[tuple[str, str, Any]]:
    whole = assembled(events, ChatChoices())
    assert whole is not None
    found = whole["choices"][0]["message"]["tool_calls"]
    return [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in found
    ]


def test_calls_that_nobody_numbered_are_kept_apart() -> None:
    assert found_calls(b"".join(UNNUMBERED)) == WHOLE_CALLS


def test_calls_that_nobody_numbered_are_guarded_apart() -> None:
    stream = ChoicesStream("/v1/chat/completions", ChatChoices(), Guard())
    events = b"".join(map(stream.feed, UNNUMBERED)) + stream.finish()
    assert found_calls(events) == WHOLE_CALLS


def test_a_call_numbered_beyond_all_is_the_first() -> None:
    piece = {"index": 10**12, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    assert found_calls(calls(piece, reason="tool_calls") + b"data: [DONE]\n\n") == [("a", "f", {})]


@pytest.mark.parametrize("extra", [{"images": [{}]}, {"annotations": [{}]}, {"content": [{}]}])
def test_what_cannot_be_put_together_is_not_kept(extra: dict[str, Any]) -> None:
    choice = {"index": 0, "delta": extra, "finish_reason": "stop"}
    raw = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\ndata: [DONE]\n\n"
    assert assembled(raw, ChatChoices()) is None


def test_an_answer_that_is_spelt_out_keeps_what_is_beside_its_text() -> None:
    message = {"role": "assistant", "content": "see", "images": [{"type": "image_url"}]}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "stop_reason": "END"}
    raw = b"".join(spelt({"choices": [choice]}, ChatChoices(), usage=False))
    assert b'"images":[{"type":"image_url"}]' in raw
    assert b'"stop_reason":"END"' in raw


@pytest.mark.parametrize("guarded", [False, True])
def test_a_count_that_was_hidden_is_kept_for_who_asks_again(guarded: bool) -> None:
    stream = chat_stream(Guard() if guarded else None, hides_usage=True)
    shown = passed(stream, [stream_of(["well", " then"])])
    assert b"usage" not in shown
    whole = json.loads(stream.whole() or b"{}")
    assert whole["usage"] == {"prompt_tokens": 5, "completion_tokens": 7}


def told(count: int) -> bytes:
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
    last = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    return piece % (b"w" * 20) * count + last


def test_a_long_answer_is_put_together_in_time_that_grows_with_it() -> None:
    """A copy of all that was said for each piece took seconds, while nobody was served."""
    start = time.process_time()
    whole = assembled(told(60_000), ChatChoices())
    assert time.process_time() - start < 2.0
    assert whole is not None
    assert len(whole["choices"][0]["message"]["content"]) == 20 * 60_000


def test_what_is_too_long_to_be_given_again_is_not_held() -> None:
    stream = chat_stream()
    for _ in range(100):
        stream.feed(told(1000))
    assert stream.kept_bytes == 0
    assert stream.whole() is None


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
SEALED = {"type": "redacted_thinking", "data": "4111 1111 1111 1111"}
CARD = {**THOUGHT, "thinking": "A card: 4111 1111 1111 1111"}


def thoughts_in(events: bytes) -> list[object]:
    """`thinking_blocks` of all events."""
    datas = [line[6:] for line in events.splitlines() if line.startswith(b"data: {")]
    deltas = [choice["delta"] for data in datas for choice in json.loads(data)["choices"]]
    return [delta["thinking_blocks"] for delta in deltas if "thinking_blocks" in delta]


@pytest.mark.parametrize(
    ("blocks", "shown"),
    [
        ([THOUGHT, SEALED], [[THOUGHT, SEALED]]),
        ([THOUGHT, CARD], []),
        ([{**THOUGHT, "signature": ""}], []),
        ([{**THOUGHT, "more": "A card: 4111 1111 1111 1111"}], [[THOUGHT]]),
        ("A card: 4111 1111 1111 1111", []),
    ],
    ids=["signed", "with a card", "unsigned", "with more", "no blocks"],
)
def test_signed_thoughts_pass_a_guard_whole_or_not_at_all(
    blocks: object, shown: list[object]
) -> None:
    """A model that calls tools wants back what it has signed, to the letter."""
    choice = {"index": 0, "delta": {"thinking_blocks": blocks}, "finish_reason": None}
    raw = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    found = passed(chat_stream(Guard()), [raw + stream_of(["a"])])
    assert thoughts_in(found) == shown
    whole = {"choices": [{"index": 0, "message": {"content": "a", "thinking_blocks": blocks}}]}
    guarded = guarded_answer(Guard(), json.dumps(whole).encode(), CHAT).body
    assert b"1111" not in guarded.replace(SEALED["data"].encode(), b"")
    if shown == [blocks]:
        assert json.loads(guarded) == whole
    if blocks == [THOUGHT, CARD]:
        assert json.loads(guarded)["choices"][0]["message"] == {"content": "a"}


def ending(index: int, *, text: str = "x") -> list[bytes]:
    """A choice that says a word and then why it ended."""
    pieces = [
        {"index": index, "delta": {"content": text}, "finish_reason": None},
        {"index": index, "delta": {}, "finish_reason": "stop"},
    ]
    return [f"data: {json.dumps({'choices': [piece]})}\n\n".encode() for piece in pieces]


@pytest.mark.parametrize("guard", [None, Guard()])
@pytest.mark.parametrize(
    ("events", "is_whole"),
    [
        ([*ending(0), *ending(1)], True),
        ([*ending(1), *ending(0)], True),
        (ending(0), False),
        ([*ending(0), ending(0)[1]], False),
        ([ending(1)[0], *ending(0)], False),
        ([*ending(0), ending(1, text='"finish_reason": "stop"')[0]], False),
        ([*ending(0), b"data: [DONE]\n\n"], True),  # the upstream says that this is all
    ],
)
def test_a_stream_of_two_choices_is_whole_when_both_have_ended(
    guard: Guard | None, events: list[bytes], is_whole: bool
) -> None:
    for pieces in (events, [b"".join(events)]):
        stream = ChoicesStream(CHAT.path, ChatChoices(), guard, count=2)
        if is_whole:
            passed(stream, pieces)
        else:
            with pytest.raises(EndedEarly):
                passed(stream, pieces)


def said(delta: dict[str, Any], finish: str | None = None, **beside: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], **beside}
    return f"data: {json.dumps(chunk)}\n\n".encode()


WORDS = [said({"content": word}, system_fingerprint="fp_1") for word in (" a", " word") * 50]
ENDS = [
    [said({}), said({}, "stop")],
    [said({}, "stop"), said({}, "stop")],
    [said({"role": "assistant"}), said({"content": None}), said({}, "stop")],
    [said({}, "stop", timings={"ms": [0.25] * 200})],
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("is_one_piece", [False, True])
def test_what_ends_a_stream_is_no_measure_for_its_words(
    end: list[bytes], is_one_piece: bool
) -> None:
    """Two last events without words made a hundred tokens 1,320 where nobody counted."""
    thought = [said({"reasoning_content": " hm"}) for _ in range(400)]
    for told in (WORDS, [*thought, *WORDS]):
        events = [said({"role": "assistant", "content": ""}), *told, *end]
        pieces = [b"".join(events)] if is_one_piece else events
        stream = chat_stream()
        passed(stream, [*pieces, b"data: [DONE]\n\n"])
        assert len(told) <= stream.usage.output_tokens <= len(events)


def test_events_of_several_words_are_counted_by_these() -> None:
    text = " hello world the token" * 25
    stream = chat_stream()
    passed(stream, [*(said({"content": text}) for _ in range(20)), *ENDS[0], b"data: [DONE]\n\n"])
    assert stream.usage.output_tokens == pytest.approx(20 * len(text) / 4, rel=0.01)


def test_where_every_second_event_says_nothing_the_others_are_the_measure() -> None:
    text = " hello world the token" * 25
    pairs = [said({}), said({"content": text})] * 200
    stream = chat_stream()
    passed(stream, [*pairs, said({}, "stop"), b"data: [DONE]\n\n"])
    wrapping = len(said({"content": ""})) - 2
    of_silent = len(said({})) - 2 - wrapping
    about = (200 * len(text) + 200 * of_silent) / 4
    assert stream.usage.output_tokens == pytest.approx(about, rel=0.01)


def test_large_events_are_passed_as_quickly_whatever_they_hold() -> None:
    """Each was looked through for its words, at 18 ms for 200 kB, though nobody had to estimate."""

    def seconds(field: str) -> float:
        events = [*[said({field: "x" * 200_000})] * 10, said({}, "stop"), b"data: [DONE]\n\n"]
        found = []
        for _ in range(5):
            stream = chat_stream()
            began = time.process_time()
            passed(stream, events)
            found.append(time.process_time() - began)
        return min(found)

    assert seconds("content") < 5 * seconds("data")
