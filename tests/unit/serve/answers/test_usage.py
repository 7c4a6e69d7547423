"""Tokens of an answer: as it tells them, in whichever way, and where it tells none."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.gateway_file.upstream import LongPrice, Price
from llmops_cli.serve.answers.readers import OpaqueStream, stream_reader
from llmops_cli.serve.answers.usage import UsageEvents, usage_in, usage_of_whole
from llmops_cli.serve.context import Usage
from llmops_cli.serve.endpoints import CHAT, EMBEDDINGS, RESPONSES


def told(usage: object) -> Usage | None:
    return usage_in(json.dumps({"usage": usage}).encode())


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 3}, (5, 3, 0, 0)),
        ({"input_tokens": 5, "output_tokens": 3}, (5, 3, 0, 0)),
        ({"prompt_tokens": 5.0, "completion_tokens": 3.0}, (5, 3, 0, 0)),
        ({"prompt_tokens": 0, "input_tokens": 7, "completion_tokens": 0}, (0, 0, 0, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 20}, (5, 15, 0, 0)),
        ({"prompt_tokens": 5, "total_tokens": 5}, (5, 0, 0, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            (9, 8, 4, 6),
        ),
        (
            {
                "input_tokens": 9,
                "output_tokens": 8,
                "input_tokens_details": {"cached_tokens": 40},
                "output_tokens_details": {"reasoning_tokens": 60},
            },
            (9, 8, 9, 8),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}, (9, 1, 4, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": None}, (9, 1, 0, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": []}, (9, 1, 0, 0)),
        ({"input_tokens": 9, "output_tokens": 1, "output_tokens_details": "no"}, (9, 1, 0, 0)),
    ],
)
def test_every_way_to_tell_tokens_is_read(usage: object, counted: tuple[int, ...]) -> None:
    found = told(usage)
    assert found is not None
    assert (
        found.input_tokens,
        found.output_tokens,
        found.cached_tokens,
        found.reasoning_tokens,
    ) == counted


@pytest.mark.parametrize("response", ["a text", [1], {"usage": None}])
def test_a_count_beside_a_field_of_another_type_is_read(response: object) -> None:
    raw = json.dumps({"response": response, "usage": {"prompt_tokens": 9}}).encode()
    found = usage_in(raw)
    assert found is not None
    assert found.input_tokens == 9


@pytest.mark.parametrize("count", [None, -1, 1e30, 10**30, "5", True, [], {}, -0.5])
def test_what_is_no_count_is_none(count: object) -> None:
    assert told({"prompt_tokens": count, "completion_tokens": count}) is None
    found = told({"prompt_tokens": 5, "completion_tokens": count})
    assert found is not None
    assert (found.tells_input, found.tells_output) == (True, False)


@pytest.mark.parametrize("raw", [b'{"usage": {"prompt_tokens": 1e999}}', b"{", b"[]", b"\xff", b""])
def test_an_answer_of_another_form_tells_nothing(raw: bytes) -> None:
    assert usage_in(raw) is None


def test_a_zero_is_a_zero_and_a_missing_count_is_guessed() -> None:
    message = {"role": "assistant", "content": "word " * 60}
    answer: dict[str, Any] = {"choices": [{"message": message}]}
    silent = usage_of_whole(json.dumps(answer).encode(), CHAT)
    assert not silent.tells_output
    assert 60 <= silent.output_tokens <= 120
    answer["usage"] = {"prompt_tokens": 3, "completion_tokens": 0}
    assert usage_of_whole(json.dumps(answer).encode(), CHAT).output_tokens == 0
    vectors = {"data": [{"embedding": [0.5] * 900}]}
    assert usage_of_whole(json.dumps(vectors).encode(), EMBEDDINGS).output_tokens == 0


# -- streams


def event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def responses_stream(words: int, *, usage: bool = True) -> bytes:
    """As OpenAI sends it: each word, then all of it three times, the count at its end."""
    said = "word " * words
    deltas = [event("response.output_text.delta", delta="word ")] * words
    part = {"type": "output_text", "text": said}
    response: dict[str, object] = {"output": [{"type": "message", "content": [part]}]}
    if usage:
        response["usage"] = {"input_tokens": 11, "output_tokens": words}
    response |= {"user": None, "metadata": {}}
    whole = [
        event("response.output_text.done", text=said),
        event("response.output_item.done", item=response["output"]),
        event("response.completed", response=response),
    ]
    return b"".join([event("response.created", response={"usage": None}), *deltas, *whole])


def counted(stream: bytes, step: int) -> Usage:
    reader = OpaqueStream()
    for start in range(0, len(stream), step):
        piece = stream[start : start + step]
        assert reader.feed(piece) == piece
    reader.finish()
    return reader.usage


@pytest.mark.parametrize("words", [5_700, 20_000, 400_000])
@pytest.mark.parametrize("step", [16_384, 1 << 20])
def test_a_large_last_event_is_read_whole(words: int, step: int) -> None:
    """A stream of 5,700 tokens was billed as 35."""
    found = counted(responses_stream(words), step)
    assert (found.input_tokens, found.output_tokens) == (11, words)


def test_a_stream_that_tells_nothing_costs_what_it_said() -> None:
    found = counted(responses_stream(5_700, usage=False), 16_384)
    assert not found.tells_output
    assert 5_700 <= found.output_tokens <= 6_000


@settings(max_examples=50, deadline=None)
@given(cuts=st.integers(1, 60))
def test_cuts_change_no_count(cuts: int) -> None:
    found = counted(responses_stream(9), cuts)
    assert (found.input_tokens, found.output_tokens) == (11, 9)


def chunk(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"id": "x", "choices": [choice], **more}).encode() + b"\n\n"


def usage_of_chat(*events: bytes) -> Usage:
    reader = stream_reader(CHAT, None, hides_usage=True, keeps=False)
    for each in events:
        reader.feed(each)
    reader.finish()
    return reader.usage


DONE = b"data: [DONE]\n\n"


def test_counts_that_grow_are_not_added() -> None:
    """vLLM's continuous_usage_stats: each event tells all so far."""
    growing = [
        chunk("a", usage={"prompt_tokens": 5, "completion_tokens": each}) for each in (1, 2, 3)
    ]
    found = usage_of_chat(*growing, DONE)
    assert (found.input_tokens, found.output_tokens) == (5, 3)


def test_parts_of_a_count_may_come_apart() -> None:
    found = usage_of_chat(
        chunk("", usage={"prompt_tokens": 5}),
        chunk("a", usage=None),
        chunk("b", usage={"completion_tokens": 2}),
        DONE,
    )
    assert (found.input_tokens, found.output_tokens) == (5, 2)
    assert found.tells_input
    assert found.tells_output


def test_an_event_of_many_words_is_many_tokens() -> None:
    """Some upstreams send a line at a time: events alone would be an eighth of it."""
    words = [chunk("twelve words in a line of text that a server sends at once. ")] * 20
    found = usage_of_chat(chunk(""), *words, chunk(""), DONE)
    assert 240 <= found.output_tokens <= 500


def test_an_odd_count_costs_no_request() -> None:
    odd = {"prompt_tokens": -5, "completion_tokens": 1e300}
    found = usage_of_chat(chunk("a"), chunk("b"), chunk("", usage=odd), DONE)
    assert not found.tells_output
    assert found.output_tokens == 2


# -- prices


def test_cached_and_reasoning_tokens_have_prices() -> None:
    rates = Price(input=10, output=20, cached_input=1, reasoning=40).rates()
    assert rates.cost(100, 50, cached_tokens=60, reasoning_tokens=30) == pytest.approx(
        (40 * 10 + 60 * 1 + 20 * 20 + 30 * 40) / 1e6
    )
    plain = Price(input=10, output=20).rates()
    assert plain.cost(100, 50, cached_tokens=60, reasoning_tokens=30) == pytest.approx(
        (100 * 10 + 50 * 20) / 1e6
    )


def test_what_is_put_into_a_cache_has_a_price() -> None:
    rates = Price(input=10, output=20, cached_input=1, cache_write=12.5).rates()
    cost = rates.cost(100, 50, cached_tokens=60, cache_write_tokens=30)
    assert cost == pytest.approx((10 * 10 + 60 * 1 + 30 * 12.5 + 50 * 20) / 1e6)
    assert rates.at_most(100, 50) == pytest.approx((100 * 12.5 + 50 * 20) / 1e6)
    plain = Price(input=10, output=20).rates()
    assert plain.cost(100, 0, cache_write_tokens=30) == pytest.approx(100 * 10 / 1e6)


def test_sound_has_a_price_and_is_bounded_where_there_may_be_some() -> None:
    rates = Price(input=10, output=20, reasoning=25, audio_input=100, audio_output=200).rates()
    cost = rates.cost(
        100,
        50,
        cached_tokens=10,
        reasoning_tokens=5,
        audio_input_tokens=60,
        audio_output_tokens=40,
    )
    assert cost == pytest.approx((40 * 10 + 60 * 100 + 5 * 20 + 5 * 25 + 40 * 200) / 1e6)
    assert rates.at_most(100, 50, sounds=True) == pytest.approx((100 * 100 + 50 * 200) / 1e6)
    assert rates.at_most(100, 50) == pytest.approx((100 * 10 + 50 * 25) / 1e6)


def test_sound_of_a_transcription_is_read() -> None:
    """OpenAI's has another name there."""
    details = {"text_tokens": 0, "audio_tokens": 14_000}
    usage = {"type": "tokens", "input_tokens": 14_000, "input_token_details": details}
    usage |= {"output_tokens": 45, "total_tokens": 14_045}
    found = usage_in(json.dumps({"text": "Hi", "usage": usage}).encode())
    assert found is not None
    assert found.audio_input_tokens == 14_000


def test_sound_is_read_as_openai_tells_it_and_is_no_more_than_the_rest() -> None:
    details = {"prompt_tokens_details": {"audio_tokens": 70, "cached_tokens": 50}}
    details["completion_tokens_details"] = {"audio_tokens": 30, "reasoning_tokens": 5}
    usage = {"prompt_tokens": 100, "completion_tokens": 32, **details}
    for found in (
        usage_in(json.dumps({"usage": usage}).encode()),
        usage_of_chat(chunk("a"), chunk("", usage=usage), DONE),
    ):
        assert found is not None
        assert (found.audio_input_tokens, found.audio_output_tokens) == (50, 27)


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 20}},
        {"prompt_tokens_details": {"cached_tokens": 64, "cache_creation_tokens": 20}},
        {"prompt_tokens_details": {"cached_tokens": 64}, "cache_creation_input_tokens": 20},
    ],
)
def test_what_was_put_into_a_cache_is_read_however_it_is_told(told: dict[str, object]) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 2, **told}
    for found in (
        usage_in(json.dumps({"usage": usage}).encode()),
        usage_of_chat(chunk("a"), chunk("", usage=usage), DONE),
    ):
        assert found is not None
        assert (found.input_tokens, found.cached_tokens, found.cache_write_tokens) == (100, 64, 20)


def test_no_more_can_be_put_into_a_cache_than_the_rest_of_the_prompt() -> None:
    details = {"cached_tokens": 64, "cache_write_tokens": 200}
    usage = {"prompt_tokens": 100, "completion_tokens": 2, "prompt_tokens_details": details}
    found = usage_in(json.dumps({"usage": usage}).encode())
    assert found is not None
    assert found.cache_write_tokens == 36


def test_events_that_contradict_one_another_make_no_prompt_cheaper_than_nothing() -> None:
    first = Usage(input_tokens=100, cached_tokens=100)
    later = Usage(input_tokens=100, cache_write_tokens=100)
    found = first.heard(later)
    assert found.cached_tokens + found.cache_write_tokens == found.input_tokens == 100


prices = st.floats(0, 100)
sizes = st.integers(0, 10_000)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), inputs=sizes, outputs=sizes)
def test_a_bound_is_no_less_than_any_cost_below_it(
    data: st.DataObject, inputs: int, outputs: int
) -> None:
    long = LongPrice(above=5000, input=data.draw(prices), output=data.draw(prices))
    rates = Price(
        input=data.draw(prices),
        output=data.draw(prices),
        cached_input=data.draw(prices),
        cache_write=data.draw(prices),
        reasoning=data.draw(prices),
        long=data.draw(st.sampled_from([None, long])),
    ).rates()
    cached = data.draw(st.integers(0, inputs))
    cost = rates.cost(
        inputs,
        outputs,
        cached_tokens=cached,
        cache_write_tokens=data.draw(st.integers(0, inputs - cached)),
        reasoning_tokens=data.draw(st.integers(0, outputs)),
    )
    more = data.draw(st.integers(0, 1000))
    assert rates.at_most(inputs + more, outputs) >= cost - 1e-12


def test_responses_are_counted_by_the_reader_without_choices() -> None:
    assert isinstance(stream_reader(RESPONSES, None, hides_usage=False, keeps=False), OpaqueStream)


ROW = b'{"embedding":[%b]}' % b",".join([b"-0.0123456789"] * 3072)


@pytest.mark.parametrize(
    "behind",
    [
        {"annotations": [{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}]},
        {"annotations": {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}},
        {"x_groq": {"usage": {"completion_tokens": 1}}},
    ],
)
def test_a_count_of_a_part_of_a_large_answer_is_not_that_of_the_answer(
    behind: dict[str, object],
) -> None:
    choice = {"message": {"content": "word " * 250_000}}
    counts = {"prompt_tokens": 10, "completion_tokens": 250_000}
    body = json.dumps({"usage": counts, "choices": [choice], **behind}).encode()
    found = usage_of_whole(body, CHAT)
    assert (found.input_tokens, found.output_tokens) == (10, 250_000)


@pytest.mark.parametrize("is_told", [True, False])
def test_vectors_are_not_read_for_their_count(is_told: bool) -> None:
    """16 MB of them kept everybody waiting for 30 ms, and for a quarter of a second uncounted."""
    counts = b',"usage":{"prompt_tokens":7,"total_tokens":7}' if is_told else b""
    body = b'{"data":[%b]%b}' % (b",".join([ROW] * 400), counts)
    start = time.process_time()
    usage = usage_of_whole(body, EMBEDDINGS)
    assert time.process_time() - start < (0.01 if is_told else 0.1)
    assert (usage.input_tokens, usage.output_tokens) == (7 if is_told else 0, 0)


def test_the_count_of_a_very_large_answer_is_found_between_its_parts_too() -> None:
    choice = {"message": {"content": "word " * 900_000}}
    counts = {"prompt_tokens": 10, "completion_tokens": 7}
    body = json.dumps({"metadata": {"a": 1}, "usage": counts, "choices": [choice]}).encode()
    found = usage_of_whole(body, CHAT)
    assert (found.input_tokens, found.output_tokens) == (10, 7)


@pytest.mark.parametrize(
    "form",
    [
        b'{"usage":%(counts)b,"choices":[%(choice)b],"id":"x"}',
        b'{"choices":[%(choice)b],"usage":%(counts)b,"service_tier":"default","x":{"y":[1]}}',
        b'{"choices":[%(choice)b],"usage": %(counts)b }\n',
    ],
    ids=["before", "amid the last fields", "last"],
)
def test_the_count_of_a_very_large_answer_is_found_at_its_ends(form: bytes) -> None:
    text = b"word " * 900_000
    parts = {
        b"counts": b'{"prompt_tokens":10,"completion_tokens":900000}',
        b"choice": b'{"message":{"content":"%b"}}' % text,
    }
    body = form % parts
    begun = time.process_time()
    found = usage_of_whole(body, CHAT)
    assert (found.input_tokens, found.output_tokens) == (10, 900_000)
    assert time.process_time() - begun < 0.01


@pytest.mark.parametrize("told", ["error", "response.failed"])
def test_what_a_client_sent_along_is_no_failure(told: str) -> None:
    echoed = b'{"type":"response.created","response":{"metadata":{"type":"%b"}}}' % told.encode()
    counted = UsageEvents()
    counted.feed(b"data: " + echoed + b"\n\n")
    assert counted.failure is None
    counted.feed(b'data: {"sequence_number":2,"type":"%b"}\n\n' % told.encode())
    assert counted.failure is not None
