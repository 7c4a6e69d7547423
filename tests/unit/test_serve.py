"""Laws of the gateway's parts: what is parsed, cut anywhere, means the same; what is malformed
harms nobody.
"""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmops_cli.gateway_file.model import CanaryConfig
from llmops_cli.gateway_file.prices import public_price
from llmops_cli.gateway_file.upstream import Price, UpstreamConfig
from llmops_cli.guard.check import Guard
from llmops_cli.serve.answers.cache import question
from llmops_cli.serve.answers.dialects import Messages, chat_of
from llmops_cli.serve.answers.replay import assembled, spelt
from llmops_cli.serve.answers.usage import Answer
from llmops_cli.serve.endpoints import CHAT
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.breaker import Breaker
from llmops_cli.serve.upstreams.canary import EDGES_S, SideStats, verdict
from llmops_cli.serve.upstreams.errors import UpstreamError
from llmops_cli.serve.upstreams.upstream import Upstream
from llmops_cli.serve.upstreams.wire import Wire

words = st.lists(st.text(max_size=12), max_size=12)


def stream_of(pieces: list[str], *, usage: bool = True, separator: str = "\n\n") -> bytes:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunks: list[Any] = [
        {**head, "choices": [{"index": 0, "delta": {"content": p}, "finish_reason": None}]}
        for p in pieces
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if usage:
        chunks.append(
            {**head, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}
        )
    events = [f"data: {json.dumps(chunk)}" for chunk in chunks] + ["data: [DONE]"]
    return "".join(event + separator for event in events).encode()


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[a:b] for a, b in pairwise(edges)]


def passed(answer: Answer, pieces: list[bytes]) -> bytes:
    return b"".join(answer.feed(piece) for piece in pieces) + answer.finish()


@settings(max_examples=200)
@given(pieces=words, places=st.lists(st.integers(0, 5000), max_size=20), crlf=st.booleans())
def test_a_stream_passes_whole_wherever_it_is_cut(
    pieces: list[str], places: list[int], crlf: bool
) -> None:
    raw = stream_of(pieces, separator="\r\n\r\n" if crlf else "\n\n")
    answer = Answer(None, CHAT, streamed=True)
    assert passed(answer, cut(raw, places)) == stream_of(pieces)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 7)
    hidden = Answer(None, CHAT, streamed=True, hide_usage=True)
    assert passed(hidden, cut(raw, places)) == stream_of(pieces, usage=False)
    assert hidden.usage.output_tokens == 7


@settings(max_examples=60, deadline=None)
@given(pieces=words, places=st.lists(st.integers(0, 5000), max_size=20))
def test_a_guarded_stream_says_the_same_wherever_it_is_cut(
    pieces: list[str], places: list[int]
) -> None:
    raw = stream_of([*pieces, " card 4111 1111", " 1111 1111 end"])
    whole = passed(Answer(Guard(), CHAT, streamed=True), [raw])
    assert _said(passed(Answer(Guard(), CHAT, streamed=True), cut(raw, places))) == _said(whole)
    assert b"1111 1111" not in whole


def _said(events: bytes) -> str:
    chunks = [json.loads(line[6:]) for line in events.splitlines() if line.startswith(b"data: {")]
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )


@given(
    raw=st.binary(max_size=400),
    places=st.lists(st.integers(0, 400), max_size=8),
    guarded=st.booleans(),
)
@example(raw=b"data: {oops\n\n", places=[], guarded=False)
@example(raw=b"data: []\n\ndata: 3\n\n", places=[], guarded=True)
@example(raw=b'data: {"choices": 3}\n\n', places=[], guarded=True)
@example(raw=b'data: {"choices": [3]}\n\n', places=[], guarded=True)
@example(raw=b'data: {"choices": [{"delta": [1]}]}\n\n', places=[], guarded=True)
@example(raw=b'data: {"choices": [{"delta": {"tool_calls": [3]}}]}\n\n', places=[], guarded=True)
def test_garbage_for_a_stream_is_an_error_and_nothing_else(
    raw: bytes, places: list[int], guarded: bool
) -> None:
    with pytest.raises(UpstreamError):
        passed(Answer(Guard() if guarded else None, CHAT, streamed=True), cut(raw, places))
        raise UpstreamError("it passed")


@settings(max_examples=200)
@given(pieces=words, places=st.lists(st.integers(0, 5000), max_size=20))
def test_anthropics_events_mean_the_same_wherever_ours_are_cut(
    pieces: list[str], places: list[int]
) -> None:
    raw = stream_of(pieces)
    found = []
    for way in ([raw], cut(raw, places)):
        dialect = Messages()
        said = b"".join(dialect.feed(piece) for piece in way) + dialect.finish()
        events = [json.loads(line[6:]) for line in said.splitlines() if line.startswith(b"data: ")]
        assert events[0]["type"] == "message_start"
        assert events[-1]["type"] == "message_stop"
        assert events[-2]["usage"] == {"input_tokens": 5, "output_tokens": 7}
        opened = [e["index"] for e in events if e["type"] == "content_block_start"]
        assert (
            opened
            == [e["index"] for e in events if e["type"] == "content_block_stop"]
            == list(range(len(opened)))
        )
        found.append(
            "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
        )
    assert found[0] == found[1] == "".join(pieces)


@settings(max_examples=200)
@given(raw=st.binary(max_size=300))
@example(raw=b'{"model": "m", "max_tokens": 3, "messages": [{"role": "user"}]}')
@example(raw=b'{"model": "m", "max_tokens": 3, "messages": [{"role": "user", "content": [3]}]}')
@example(
    raw=b'{"model": "m", "max_tokens": 3, "messages": [{"role": "user", "content": [{"type": "image"}]}]}'
)
@example(raw=b'{"model": "m", "max_tokens": 3, "messages": [{"role": "root", "content": "x"}]}')
def test_garbage_for_messages_is_refused(raw: bytes) -> None:
    import msgspec

    try:
        json.loads(chat_of(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, Refusal):
        return


texts = st.text(max_size=40)
calls = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(min_size=1, max_size=5),
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": st.text(min_size=1, max_size=5), "arguments": texts}
            ),
        }
    ),
    min_size=1,
    max_size=3,
)


@given(
    content=texts,
    tools=st.none() | calls,
    count=st.integers(1, 3),
    reason=st.sampled_from(["stop", "length"]),
)
def test_an_answer_is_the_same_after_being_spelt(
    content: str, tools: Any, count: int, reason: str
) -> None:
    message = {
        "role": "assistant",
        "content": content if content or not tools else None,
        **({"tool_calls": tools} if tools else {}),
    }
    whole = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": i, "message": message, "finish_reason": reason} for i in range(count)
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    assert assembled(b"".join(spelt(whole, usage=True))) == whole


def test_a_server_that_does_not_name_its_objects_is_understood() -> None:
    """Some leave `object` out: what was said must not get lost with it."""
    whole = {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": " a b"},
                "finish_reason": "length",
            }
        ]
    }
    assert _said(b"".join(spelt(whole, usage=False))) == " a b"
    text = {"choices": [{"index": 0, "text": " a b", "finish_reason": "length"}]}
    assert b"".join(spelt(text, usage=False)).count(b'"text":" ') == 2


def test_prices_of_the_public_table() -> None:
    assert public_price("gpt-4o").per_token() == pytest.approx((2.5e-6, 10e-6))
    with pytest.raises(LookupError):
        public_price("no-such-model")


def test_what_is_not_whole_is_not_assembled() -> None:
    raw = stream_of(["a", "b"])
    assert assembled(raw) is not None
    assert assembled(raw.replace(b"data: [DONE]\n\n", b"")) is None
    assert assembled(raw.replace(b'"finish_reason": "stop"', b'"finish_reason": null')) is None
    assert assembled(b'data: {"error": {"message": "x"}}\n\ndata: [DONE]\n\n') is None
    assert assembled(b"data: nonsense\n\ndata: [DONE]\n\n") is None


# -- HTTP
# ----------------------------------------------------------------------------------------------


class _Nowhere:
    """A transport that takes everything."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: name == "is_closing"


FINE = b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n3\r\n...\r\n0\r\n\r\n"


def received(pieces: list[bytes], *, closed: bool) -> tuple[int, bytes, bool, str]:
    async def go() -> tuple[int, bytes, bool, str]:
        wire = Wire()
        wire.connection_made(_Nowhere())  # type: ignore[arg-type]
        for piece in pieces:
            if not wire.broken:
                wire.data_received(piece)
        if closed:
            wire.connection_lost(None)
        return wire.status, b"".join(wire.chunks), wire.complete, str(wire.broken or "")

    return asyncio.run(go())


@settings(max_examples=60, deadline=None)
@given(places=st.lists(st.integers(0, 200), max_size=12))
def test_an_answer_is_read_wherever_it_is_cut(places: list[int]) -> None:
    assert received(cut(FINE, places), closed=False) == (200, b"Hello...", True, "")


@settings(max_examples=60, deadline=None)
@given(end=st.integers(0, len(FINE) - 1))
def test_half_an_answer_is_never_a_whole_one(end: int) -> None:
    _, _, complete, broken = received([FINE[:end]], closed=True)
    assert not complete
    assert broken


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=200), flip=st.integers(0, len(FINE) - 1), to=st.integers(0, 255))
def test_garbage_for_an_answer_is_complete_or_broken_but_never_an_exception(
    raw: bytes, flip: int, to: int
) -> None:
    for data in (raw, FINE[:flip] + bytes([to]) + FINE[flip + 1 :], FINE + raw):
        status, _, complete, broken = received([data], closed=True)
        assert complete or broken
        assert not complete or status >= 200


# -- decisions
# -----------------------------------------------------------------------------------------


@given(
    outcomes=st.lists(
        st.tuples(st.floats(0, 5), st.sampled_from(["good", "bad", "left"])), max_size=200
    )
)
def test_a_breaker_always_lets_somebody_try_again(outcomes: list[tuple[float, str]]) -> None:
    now = [0.0]
    breaker = Breaker(now=lambda: now[0], seed=1)
    for wait_s, outcome in outcomes:
        now[0] += wait_s
        if breaker.allows():
            breaker.begin()
            {"good": breaker.succeeded, "bad": breaker.failed, "left": breaker.undecided}[outcome]()
    now[0] += 100.0
    assert breaker.allows()
    breaker.begin()
    breaker.succeeded()
    assert breaker.state == "closed"


def test_a_breaker_opens_probes_once_and_closes() -> None:
    now = [0.0]
    breaker = Breaker(now=lambda: now[0], seed=1)
    for _ in range(5):
        assert breaker.allows()
        breaker.begin()
        breaker.failed()
    assert (breaker.state, breaker.allows()) == ("open", False)
    now[0] += 2.0
    assert breaker.allows()
    breaker.begin()
    assert not breaker.allows(), "one probe at a time"
    breaker.failed()
    now[0] += 1.3
    assert not breaker.allows(), "the pause has doubled"
    now[0] += 2.0
    breaker.begin()
    breaker.succeeded()
    assert (breaker.state, breaker.allows()) == ("closed", True)


def test_half_of_many_opens_a_breaker_too() -> None:
    breaker = Breaker(now=lambda: 0.0)
    for i in range(20):
        assert breaker.state == "closed"
        (breaker.failed if i % 2 else breaker.succeeded)()
    assert breaker.state == "open"


def side(requests: int, errors: int, ttft_s: float) -> SideStats:
    bucket = next(i for i, edge in enumerate(EDGES_S) if edge >= ttft_s)
    return SideStats(requests=requests, errors=errors, ttft={bucket: requests - errors})


@pytest.mark.parametrize(
    ("stable", "canary", "bad"),
    [
        (side(1000, 0, 0.1), side(100, 0, 0.1), False),
        (side(1000, 0, 0.1), side(100, 3, 0.1), False),
        (side(1000, 0, 0.1), side(100, 10, 0.1), True),
        (side(1000, 100, 0.1), side(100, 12, 0.1), False),
        (side(1000, 0, 0.1), side(10, 10, 0.1), False),
        (side(1000, 0, 0.1), side(100, 0, 0.2), True),
        (side(1000, 0, 0.1), side(100, 0, 0.14), False),
        (side(5, 0, 0.1), side(100, 0, 0.9), False),
        (side(1000, 0, 0.1), side(100, 100, 0.1), True),
    ],
)
def test_what_rolls_a_canary_back(stable: SideStats, canary: SideStats, bad: bool) -> None:
    config = CanaryConfig(use=["x"])
    assert bool(verdict(config, {"stable": stable, "canary": canary})) is bad


BODY: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "What is 3 times 4?"}],
    "temperature": 0.5,
}


def asked(**changes: Any) -> Any:
    more = {"tenant": "t", "route": CHAT.path, "alias": "m", "policy": ""}
    return question(
        {**BODY, **{k: v for k, v in changes.items() if k not in more}},
        **{k: changes.get(k, v) for k, v in more.items()},
    )


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "u"},
        {"alias": "n"},
        {"policy": "p"},
        {"route": "/v1/completions"},
        {"temperature": 0.6},
        {"seed": 1},
        {"tools": [1]},
        {"response_format": {"type": "json_object"}},
        {"logit_bias": {"5": 1}},
        {"top_p": 0.5},
        {"some_new_field": True},
        {"messages": [{"role": "system", "content": "x"}, *BODY["messages"]]},
    ],
)
def test_what_can_change_an_answer_is_in_its_name(change: dict[str, Any]) -> None:
    assert asked(**change).name != asked().name
    assert asked(**change).partition != asked().partition


@pytest.mark.parametrize(
    "change", [{"stream": True}, {"user": "x"}, {"stream_options": {"include_usage": True}}]
)
def test_what_changes_no_answer_is_not(change: dict[str, Any]) -> None:
    assert asked(**change).name == asked().name


def test_only_the_last_question_may_vary_by_meaning() -> None:
    other = [{"role": "user", "content": "3 times 4 is what"}]
    assert asked(messages=other).name != asked().name
    assert asked(messages=other).partition == asked().partition
    assert (
        asked(messages=[{"role": "user", "content": "What is 3 times 5?"}]).partition
        != asked().partition
    )


def test_a_price_by_the_hour() -> None:
    assert Price(gpu_hour=3.6, tokens_per_s=1000).per_token() == pytest.approx((1e-6, 1e-6))
    assert Price(input=0.5, output=1.5).per_token() == pytest.approx((0.5e-6, 1.5e-6))


def test_checks_that_are_late_do_not_kill_who_answers() -> None:
    """Three missed checks, with a byte to somebody in between, are no reason to give an upstream
    up.
    """

    async def go(*, alive: bool) -> bool:
        upstream = Upstream("x", UpstreamConfig(url="http://127.0.0.1:9"), "http://127.0.0.1:9")
        fell: list[Upstream] = []
        for _ in range(4):
            if alive:
                upstream.alive()
                upstream._last_byte += 60
            await upstream._look(fell.append)
        await upstream.close()
        return bool(fell)

    assert asyncio.run(go(alive=False)) is True
    assert asyncio.run(go(alive=True)) is False
