"""Bytes to tokens: any split of the stream gives the same answer, and only text counts as a
token.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.bench.answer import parse_answer
from llmops_cli.bench.events import gaps_of
from llmops_cli.bench.plan import Destination
from llmops_cli.bench.record import AT_ONCE_NS
from llmops_cli.core.histogram import value_of
from llmops_cli.runtime.wire import HttpResponse, ProtocolError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*events: bytes) -> bytes:
    return HEAD + b"".join(b"%x\r\n%b\r\n" % (len(e), e) for e in events) + b"0\r\n\r\n"


def event(payload: dict[str, Any] | str, *, end: str = "\n\n") -> bytes:
    return f"data: {payload if isinstance(payload, str) else json.dumps(payload)}{end}".encode()


def delta(finish: str | None = None, **fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


USAGE = event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 4}})
DONE = event("[DONE]")
STREAM = chunked(
    delta(role="assistant", content=""),
    delta(content="Hé"),
    delta(content=""),
    delta(reasoning_content="llo"),
    delta(content=" wörld"),
    delta(content="!", finish="stop"),
    USAGE,
    DONE,
)


def feed(raw: bytes, cuts: list[int]) -> HttpResponse:
    response = HttpResponse()
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    done = False
    for number, (start, end) in enumerate(pairwise(places)):
        assert not done
        done = response.feed(1000 + number, raw[start:end])
    assert done
    return response


@given(st.lists(st.integers(0, 10_000), max_size=60))
def test_any_split_of_the_stream_gives_the_same_answer(cuts: list[int]) -> None:
    response = feed(STREAM, cuts)
    answer = parse_answer(response)
    assert (answer.text, answer.failure, answer.finish_reason) == ("Héllo wörld!", None, "stop")
    assert answer.usage["completion_tokens"] == 4
    assert len(answer.stamps) == 4
    assert answer.stamps == sorted(answer.stamps)
    assert response.keep_alive


@given(st.lists(st.integers(0, 10_000), max_size=20))
def test_an_event_is_stamped_when_its_last_byte_comes(cuts: list[int]) -> None:
    first = chunked(delta(content="a"))[:-5]
    whole = chunked(delta(content="a"), delta(content="b", finish="stop"), DONE)
    response = HttpResponse()
    response.feed(1, first[:-10])
    response.feed(2, whole[len(first) - 10 : len(first)])
    response.feed(3, whole[len(first) :])
    assert parse_answer(response).stamps == [2, 3]


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
def test_comments_other_line_ends_and_several_events_in_one_chunk(end: str) -> None:
    text = {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}
    raw = chunked(
        b": ping\n\n" + event(text, end=end) + event(text, end=end), b"event: end\n" + DONE
    )
    answer = parse_answer(feed(raw, []))
    assert (answer.text, len(answer.stamps), answer.failure) == ("xx", 2, None)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (chunked(delta(content="a")), "the stream ended early"),
        (chunked(delta(role="assistant"), delta(finish="stop"), DONE), "no text in the answer"),
        (chunked(delta(content="a"), b"data: {broken\n\n", DONE), "a malformed event"),
        (chunked(event({"error": {"message": "out of memory"}})), "error event: out of memory"),
        (chunked(b"{}"), "the answer is no event stream"),
        (chunked(DONE), "an empty answer"),
        (
            b'HTTP/1.1 429 No\r\nContent-Length: 29\r\n\r\n{"error":{"message":"slower"}}'[:-1],
            "HTTP 429",
        ),
    ],
)
def test_what_is_no_answer_says_why(raw: bytes, error: str) -> None:
    answer = parse_answer(feed(raw, []))
    assert answer.failure is not None
    assert answer.failure.text.startswith(error)
    assert answer.failure.text.startswith(answer.failure.kind)


def test_tool_calls_are_tokens() -> None:
    call = [{"index": 0, "function": {"arguments": "{"}}]
    answer = parse_answer(
        feed(chunked(delta(tool_calls=call), delta(finish="tool_calls"), DONE), [])
    )
    assert len(answer.stamps) == 1
    assert answer.failure is None


def test_a_body_that_lasts_until_the_connection_closes() -> None:
    response = HttpResponse()
    response.feed(1, b"HTTP/1.0 200 OK\r\n\r\n" + delta(content="a", finish="stop"))
    assert response.closed()
    assert not response.keep_alive
    assert parse_answer(response).text == "a"


def test_an_announcement_comes_before_the_real_head() -> None:
    assert feed(b"HTTP/1.1 100 Continue\r\n\r\n" + STREAM, [7]).status == 200


@pytest.mark.parametrize("cuts", [[], [30], [*range(0, 200, 3)]])
def test_lines_of_a_head_may_end_without_a_carriage_return(cuts: list[int]) -> None:
    body = delta(content="a", finish="stop") + DONE
    head = b"HTTP/1.1 200 OK\nContent-Type: text/event-stream\nContent-Length: %d\n\n" % len(body)
    assert parse_answer(feed(head + body, cuts)).text == "a"


def test_many_announcements_are_passed_over() -> None:
    assert feed(b"HTTP/1.1 102\r\n\r\n" * 5_000 + STREAM, []).status == 200


@pytest.mark.parametrize("size", [b"%x", b"%X", b"000%x", b"%x ", b"%x;a=b"])
def test_the_size_of_a_chunk_has_its_forms(size: bytes) -> None:
    text = delta(content="a" * 60, finish="stop") + DONE
    raw = HEAD + size % len(text) + b"\r\n" + text + b"\r\n0\r\nX-Trailer: y\r\n\r\n"
    response = feed(raw, [len(HEAD)])
    assert parse_answer(response).text == "a" * 60
    assert response.keep_alive


@pytest.mark.parametrize(
    "raw",
    [b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno", b"HTTP/1.1 204 X\r\n\r\n", STREAM],
    ids=["length", "empty", "chunked"],
)
def test_a_connection_with_more_than_its_answer_is_not_used_again(raw: bytes) -> None:
    """What stands there would be taken for the next answer's head."""
    response = HttpResponse()
    assert response.feed(1, raw + b"more")
    assert not response.keep_alive
    assert b"more" not in b"".join(response.payloads)


def test_a_large_chunk_in_many_pieces_is_one() -> None:
    text = delta(content="a" * 400_000, finish="stop") + DONE
    raw = chunked(text)
    response = feed(raw, [*range(0, len(raw), 1_000)])
    assert [len(payload) for payload in response.payloads] == [len(text)]
    assert parse_answer(response).text == "a" * 400_000


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"\n\n",
        b"HTTP/1.1 " + b"2" * 5_000 + b" OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"5" * 5_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        HEAD + b"zz\r\n",
        HEAD + b"-6\r\nhello\r\n",
        HEAD + b"+5\r\nhello\r\n",
        HEAD + b"0x5\r\nhello\r\n",
        HEAD + b"1_0\r\n0123456789abcdef\r\n",
        HEAD + b";a=b\r\n",
        HEAD + b"0\r\n" + b"X: y\r\n" * 12_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
    ],
)
def test_what_is_not_http_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        HttpResponse().feed(1, raw)


@given(st.lists(st.integers(400 * AT_ONCE_NS, 10**8), min_size=1, max_size=50), st.integers(2, 400))
def test_time_per_token_between_chunks_averages_to_tpot(gaps_ns: list[int], tokens: int) -> None:
    stamps = [0]
    for gap in gaps_ns:
        stamps.append(stamps[-1] + gap)
    found = gaps_of(stamps, tokens)
    weights = found[1::2]
    values = [value_of(int(key)) for key in found[::2]]
    assert sum(weights) == pytest.approx(tokens - 1, rel=1e-3)
    tpot_ms = stamps[-1] / 1e6 / (tokens - 1)
    assert sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights) == pytest.approx(
        tpot_ms, rel=0.004
    )


def test_chunks_that_come_at_once_have_no_time_between_them() -> None:
    assert gaps_of([5, 5, 5, 5], 4) == ()
    assert gaps_of([0, 8 * AT_ONCE_NS], 10) == ()


def test_a_key_that_a_server_repeats_is_hidden() -> None:
    target = Destination(
        scheme="http",
        host="h",
        port=80,
        path="/",
        family=2,
        address=("127.0.0.1", 80),
        headers=(("Authorization", "Bearer sk-1234567890"), ("X-Team", "search")),
    )
    words = "HTTP 401: Incorrect API key provided: sk-1234567890, of search"
    assert target.without_secrets(words) == (
        "HTTP 401: Incorrect API key provided: [hidden], of search"
    )
