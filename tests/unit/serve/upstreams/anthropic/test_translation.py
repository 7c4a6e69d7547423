"""Answers of Anthropic's Messages as a chat's, whole and streamed alike, however they are cut."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.runtime.messages_words import turns_of
from llmops_cli.serve.answers.dialects.chat import ChatChoices
from llmops_cli.serve.answers.dialects.choices import assembled
from llmops_cli.serve.answers.usage import usage_in
from llmops_cli.serve.context import Usage
from llmops_cli.serve.upstreams.anthropic.translation import MessagesAnswer
from llmops_cli.serve.upstreams.errors import (
    EndedEarly,
    ErrorInStream,
    MalformedAnswer,
    UpstreamError,
)
from llmops_cli.serve.upstreams.event_lines import EventLines
from tests.anthropic_upstream import CALL, HELLO, USAGE, event, events_of, failure, message
from tests.unit.serve.streams import cut

Json = dict[str, Any]
THOUGHT: Json = {"type": "thinking", "thinking": "Hm.", "signature": "abc"}
SEARCH: Json = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}


def whole(answer: Json) -> Json:
    body = msgspec.json.encode(answer)
    found: Json = msgspec.json.decode(MessagesAnswer().whole(200, body))
    return found


def streamed(pieces: list[bytes]) -> bytes:
    lines = EventLines()
    translation = MessagesAnswer()
    told = b"".join([translation.feed(lines.feed(piece)) for piece in pieces])
    return told + translation.finish()


def of_stream(pieces: list[bytes]) -> Json:
    found = assembled(streamed(pieces), ChatChoices())
    assert found is not None
    return found


def told(answer: Json) -> Json:
    """The choice."""
    choice: Json = whole(answer)["choices"][0]
    return choice


texts = st.text(max_size=8).map(lambda text: {"type": "text", "text": text})
calls = st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2).map(
    lambda given: {**CALL, "input": given}
)
contents = st.lists(st.one_of(texts, calls, st.just(THOUGHT), st.just(SEARCH)), max_size=5)


@settings(max_examples=150, deadline=None)
@given(
    content=contents,
    reason=st.sampled_from(
        ["end_turn", "max_tokens", "tool_use", "refusal", "pause_turn", "new", None]
    ),
    places=st.lists(st.integers(0, 3000), max_size=12),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_a_stream_says_what_the_whole_answer_says(
    content: list[Json], reason: str | None, places: list[int], line_end: bytes
) -> None:
    answer = message(*content, stop_reason=reason)
    raw = b"".join(events_of(answer)).replace(b"\n", line_end)
    expected = whole(answer)
    found = of_stream(cut(raw, places))
    for name in ("choices", "usage", "id", "model", "object"):
        given_calls = [choice["message"].get("tool_calls") for choice in expected["choices"]]
        if name == "choices" and given_calls[0]:
            # One call is known by its id, of which these may have several.
            assert found[name][0]["finish_reason"] == expected[name][0]["finish_reason"]
            assert found[name][0]["message"]["content"] == expected[name][0]["message"]["content"]
        else:
            assert found[name] == expected[name], name


def test_texts_that_stood_apart_are_paragraphs() -> None:
    second = {"type": "text", "text": "And."}
    assert told(message(HELLO, second))["message"]["content"] == "Hello there.And."
    apart = told(message(THOUGHT, HELLO, CALL, second, CALL, THOUGHT))
    assert apart["message"]["content"] == "Hello there.\n\nAnd."
    assert apart["message"]["reasoning_content"] == "Hm.\n\nHm."
    found = of_stream([b"".join(events_of(message(THOUGHT, HELLO, SEARCH, second)))])
    assert found["choices"][0]["message"]["content"] == "Hello there.\n\nAnd."


def test_tools_are_called() -> None:
    choice = told(message(CALL, stop_reason="tool_use"))
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    other = {**CALL, "id": "toolu_2", "input": {}}
    expected = whole(message(HELLO, CALL, other, stop_reason="tool_use"))
    found = of_stream([b"".join(events_of(message(HELLO, CALL, other, stop_reason="tool_use")))])
    calls = [
        each["message"].pop("tool_calls") for each in (*expected["choices"], *found["choices"])
    ]
    for whole_call, pieces in zip(*calls, strict=True):
        for call in (whole_call, pieces):
            function = call["function"]
            function["arguments"] = msgspec.json.decode(function["arguments"])
        assert whole_call == pieces
    assert calls[0][1]["function"] == {"name": "weather", "arguments": {}}
    assert found["choices"] == expected["choices"]


def test_a_call_may_be_told_all_at_once() -> None:
    """As servers do that stream nothing of an input."""
    start = event("content_block_start", index=0, content_block=CALL)
    stop = event("content_block_stop", index=0)
    ended = b"".join(events_of(message(stop_reason="tool_use")))
    head, _, tail = ended.partition(event("ping"))
    found = of_stream([head + start + stop + tail])
    [call] = found["choices"][0]["message"]["tool_calls"]
    assert msgspec.json.decode(call["function"]["arguments"]) == CALL["input"]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        ("of the future", "stop"),
        (None, "stop"),
    ],
)
def test_why_it_ended(reason: str | None, finish: str) -> None:
    answer = message(stop_reason=reason)
    assert told(answer)["finish_reason"] == finish
    assert told(answer)["message"]["content"] == ""
    found = of_stream([b"".join(events_of(answer))])
    assert found["choices"][0]["finish_reason"] == finish


def test_a_stop_sequence_is_told() -> None:
    answer = message(HELLO, stop_reason="stop_sequence", stop_sequence="END")
    assert told(answer)["stop_reason"] == "END"
    assert of_stream([b"".join(events_of(answer))])["choices"] == whole(answer)["choices"]


def test_a_prompts_tokens_are_all_of_them() -> None:
    body = msgspec.json.encode(message(HELLO))
    usage = usage_in(MessagesAnswer().whole(200, body))
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (150, 9)
    assert (usage.cached_tokens, usage.cache_write_tokens) == (100, 30)


def test_counts_may_come_at_the_end_alone_or_again() -> None:
    """The last that is told counts, and null tells nothing."""
    start = event("message_start", message={**message(), "usage": None})
    counted = {**USAGE, "output_tokens": 4, "output_tokens_details": {"thinking_tokens": 3}}
    first = event("message_delta", delta={"stop_reason": "end_turn"}, usage=counted)
    again = {"output_tokens": 9, "input_tokens": None}
    second = event("message_delta", delta={}, usage=again)
    usage = of_stream([start, first, second, event("message_stop")])["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (150, 9)
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 3}
    bare = of_stream([start, event("message_delta", delta={}), event("message_stop")])
    assert "usage" not in bare


@pytest.mark.parametrize(
    ("counts", "told_in", "told_out"),
    [
        (None, None, None),
        ({}, None, None),
        ({"input_tokens": "20", "output_tokens": -1}, None, None),
        ({"input_tokens": True, "output_tokens": [9]}, None, None),
        ({"output_tokens": 9}, None, 9),
        ({"cache_read_input_tokens": 0, "output_tokens": 9}, None, 9),
        ({"cache_read_input_tokens": 7, "output_tokens": 9}, 7, 9),
        ({"input_tokens": 20}, 20, None),
        ({"input_tokens": 0, "output_tokens": 0}, 0, 0),
    ],
)
def test_what_nobody_counted_is_not_free(
    counts: object, told_in: int | None, told_out: int | None
) -> None:
    """It is estimated then, as of any upstream; a told 0 is one."""
    body = msgspec.json.encode({**message(HELLO), "usage": counts})
    usage = usage_in(MessagesAnswer().whole(200, body)) or Usage()
    assert (usage.tells_input, usage.tells_output) == (told_in is not None, told_out is not None)
    assert (usage.input_tokens, usage.output_tokens) == (told_in or 0, told_out or 0)


def test_a_stream_without_a_count_at_its_end_has_none_of_its_answer() -> None:
    """What is told of it at its start is of a word that was not yet said."""
    start, *rest = events_of(message(HELLO))
    deltas = [each for each in rest if b"message_delta" not in each]
    usage = of_stream([start, *deltas])["usage"]
    assert usage["prompt_tokens"] == 150
    assert "completion_tokens" not in usage


@pytest.mark.parametrize("later", [0, None, "20", -1, 20])
def test_a_later_count_takes_nothing_back(later: object) -> None:
    """Some servers tell 0 of what they have told before."""
    start, *_ = events_of(message())
    counted = {"input_tokens": later, "output_tokens": 9}
    end = event("message_delta", delta={"stop_reason": "end_turn"}, usage=counted)
    usage = of_stream([start, end, event("message_stop")])["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (150, 9)


def test_calls_of_one_number_are_told_apart() -> None:
    start, *_ = events_of(message())
    names = ("one", "two", "three")
    calls = [
        event("content_block_start", index=0, content_block={**CALL, "id": name, "name": name})
        + event("content_block_stop", index=0)
        for name in names
    ]
    choice = of_stream([start, *calls, event("message_stop")])["choices"][0]
    found = [each["function"]["name"] for each in choice["message"]["tool_calls"]]
    assert found == list(names)


SEALED: Json = {"type": "redacted_thinking", "data": "c2VhbGVk"}


def test_signed_thoughts_before_a_call_go_back_as_they_came() -> None:
    """Without them a model that calls tools may not think on."""
    answer = message(THOUGHT, SEALED, HELLO, CALL, stop_reason="tool_use")
    for found in (told(answer), of_stream(list(events_of(answer)))["choices"][0]):
        said = found["message"]
        assert said["reasoning_content"] == "Hm."
        assert said["thinking_blocks"] == [THOUGHT, SEALED]
        result = {"role": "tool", "tool_call_id": "toolu_1", "content": "Rain"}
        turns = turns_of([{"role": "user", "content": "Hi"}, said, result])
        assert turns[1]["content"] == [THOUGHT, SEALED, HELLO, CALL]


@pytest.mark.parametrize(
    "content",
    [
        [THOUGHT, HELLO],
        [{**THOUGHT, "signature": ""}, CALL],
        [{"type": "thinking", "thinking": "Hm.", "signature": None}, CALL],
    ],
)
def test_what_nobody_has_signed_or_asks_for_is_told_once(content: list[Json]) -> None:
    assert "thinking_blocks" not in told(message(*content))["message"]
    events = list(events_of(message(*content)))
    assert "thinking_blocks" not in of_stream(events)["choices"][0]["message"]


def test_nothing_is_told_before_the_first_block() -> None:
    """An error may still come, and then somebody else can be asked."""
    start, ping, *_ = events_of(message(HELLO))
    translation = MessagesAnswer()
    assert translation.feed(start + ping) == b""
    with pytest.raises(ErrorInStream) as caught:
        translation.feed(event("error", **failure("overloaded_error", "Overloaded")))
    assert caught.value.status == 529
    error = msgspec.json.decode(caught.value.said)["error"]
    assert (error["type"], error["message"], error["code"]) == (
        "overloaded_error",
        "Overloaded",
        529,
    )


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("invalid_request_error", 400),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("timeout_error", 504),
        ("of_the_future", 500),
        (None, 500),
    ],
)
def test_an_error_in_a_stream_has_the_status_of_its_type(kind: str | None, status: int) -> None:
    with pytest.raises(ErrorInStream) as caught:
        MessagesAnswer().feed(event("error", error={"type": kind}))
    assert caught.value.status == status


def test_an_error_has_openais_form_and_what_is_neither_is_left_as_it_is() -> None:
    said = failure("invalid_request_error", "max_tokens: too many")
    body = msgspec.json.encode(said)
    assert msgspec.json.decode(MessagesAnswer().whole(400, body)) == {
        "error": {
            "message": "max_tokens: too many",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }
    under_200 = msgspec.json.decode(MessagesAnswer().whole(200, body))
    assert under_200["error"]["code"] == 400
    for odd in (b"", b"<html>", b"[]", b"null", b'{"content": 7}', b'{"error": "no"}', b"\xff"):
        assert MessagesAnswer().whole(200, odd) == odd
        assert MessagesAnswer().whole(502, odd) == odd


def test_a_stream_that_does_not_say_its_end_has_none() -> None:
    events = list(events_of(message(HELLO)))
    for count in range(len(events)):
        with pytest.raises(EndedEarly):
            streamed(events[:count])


def test_the_last_event_may_lack_its_blank_line() -> None:
    raw = b"".join(events_of(message(HELLO)))
    assert streamed([raw.rstrip(b"\n")]).endswith(b"data: [DONE]\n\n")


def test_what_follows_the_end_is_not_told() -> None:
    raw = b"".join(events_of(message(HELLO)))
    assert streamed([raw, raw]) == streamed([raw])


def test_unknown_events_blocks_and_deltas_say_nothing() -> None:
    raw = list(events_of(message(HELLO)))
    news = {"type": "news", "data": "x"}
    odd = [
        event("of_the_future", a=1),
        event("content_block_start", index=7, content_block=news),
        event("content_block_delta", index=7, delta=news),
        event("content_block_delta", index=9, delta={"type": "input_json_delta"} | {"a": 1}),
        event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}}),
        event("content_block_stop", index=7),
        b": a comment\n\n",
        b"id: 7\nretry: 100\n\n",
    ]
    found = of_stream([*raw[:2], *odd, *raw[2:]])
    assert found["choices"] == whole(message(HELLO))["choices"]


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=60), place=st.integers(0, 8))
def test_garbage_is_malformed_and_never_a_bug(raw: bytes, place: int) -> None:
    events = list(events_of(message(HELLO, CALL)))
    odd = b"data: " + raw + b"\n\n"
    try:
        streamed([*events[:place], odd, *events[place:]])
    except UpstreamError as error:
        assert isinstance(error, MalformedAnswer | ErrorInStream | EndedEarly)


@pytest.mark.parametrize(
    "data",
    ["[]", "7", '{"a": 1}', '{"type": "message_start"}', '{"type": "content_block_delta"}'],
)
def test_an_event_of_another_form_is_malformed(data: str) -> None:
    with pytest.raises(MalformedAnswer):
        MessagesAnswer().feed(f"data: {data}\n\n".encode())
