"""An upstream's answer is whole, or broken, however it is cut."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.serve.upstreams.errors import (
    AnswerTooLarge,
    Blame,
    ClientDeadline,
    EndedEarly,
    MalformedAnswer,
    ReadTimeout,
    TotalTimeout,
    UpstreamError,
)
from llmops_cli.serve.upstreams.outcome import Outcome, outcome_of
from llmops_cli.serve.upstreams.patience import Patience
from llmops_cli.serve.upstreams.reply import Reply
from llmops_cli.serve.upstreams.unpack import Unpacker
from llmops_cli.serve.upstreams.wire import HELD_MOST, Wire
from tests.unit.serve.streams import cut


class _Nowhere:
    """A transport that takes everything."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: name == "is_closing"


HEAD = b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"
FINE = HEAD + b"5\r\nHello\r\n3\r\n...\r\n0\r\n\r\n"


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


def test_what_came_before_an_odd_end_in_the_same_read_can_be_read() -> None:
    status, body, complete, broken = received([FINE[:-5] + b"x\r\n"], closed=False)
    assert (status, body, complete) == (200, b"Hello...", False)
    assert broken


class Shouting:
    """Words in capitals; an answer ends with a full stop."""

    def __init__(self) -> None:
        self._heard = b""

    def whole(self, status: int, body: bytes) -> bytes:
        return b"%d %b" % (status, body.upper())

    def feed(self, events: bytes) -> bytes:
        if b"!" in events:
            raise MalformedAnswer("no shouting")
        self._heard += events
        return events.upper()

    def finish(self) -> bytes:
        if not self._heard.endswith(b"."):
            raise EndedEarly
        return b"END"


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def translated(raw: bytes, places: list[int]) -> tuple[bytes, bool, str]:
    """What of an answer in another dialect can be read, whether it is whole, and what is wrong."""

    async def go() -> tuple[bytes, bool, str]:
        wire = Wire()
        wire.connection_made(_Nowhere())  # type: ignore[arg-type]
        wire.reset(Shouting())
        for piece in cut(raw, places):
            wire.data_received(piece)
        wire.connection_lost(None)
        reply = Reply(wire, _limits(total_s=5))
        reply.close()
        found = b"".join(wire.chunks)
        if wire.complete and not reply.is_stream:
            found = await reply.read()
        return found, wire.complete, str(wire.broken or "")

    return asyncio.run(go())


@settings(max_examples=60, deadline=None)
@given(places=st.lists(st.integers(0, 200), max_size=12))
def test_an_answer_in_another_dialect_is_translated_as_it_comes(places: list[int]) -> None:
    assert translated(EVENTS + b"hi\r\nthere.", places) == (b"HI\nTHERE.END", True, "")
    said, complete, broken = translated(EVENTS + b"hi there", places)
    assert (said, complete) == (b"HI THERE", False)
    assert "ended early" in broken
    assert not translated(EVENTS + b"hi!", places)[1]


def test_a_whole_answer_in_another_dialect_is_translated_with_its_status() -> None:
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nhi"
    assert translated(head % 200, [])[0] == b"200 HI"
    assert translated(head % 429, [])[0] == b"429 HI"
    events = EVENTS.replace(b"200", b"500") + b"hi!"
    assert translated(events, []) == (b"hi!", True, ""), "an error is no stream"


def _limits(*, total_s: float, is_clients: bool = False) -> Patience:
    now = asyncio.get_running_loop().time()
    return Patience(now + total_s, now + total_s, 0.2, is_clients)


@pytest.mark.parametrize(
    ("paused", "is_clients", "kind", "blame"),
    [
        (False, False, TotalTimeout, Blame.UPSTREAM),
        (True, False, TotalTimeout, Blame.CLIENT),
        (False, True, ClientDeadline, Blame.CLIENT),
    ],
)
def test_whose_limit_it_was_is_known(
    *, paused: bool, is_clients: bool, kind: type[UpstreamError], blame: Blame
) -> None:
    """An upstream that has to wait for a slow reader took no longer itself."""

    async def go() -> UpstreamError | None:
        wire = Wire()
        wire.connection_made(_Nowhere())  # type: ignore[arg-type]
        size = HELD_MOST + 1 if paused else 1
        wire.data_received(HEAD + f"{size:x}\r\n".encode() + b"x" * size)
        Reply(wire, _limits(total_s=0.05, is_clients=is_clients))
        await asyncio.sleep(0.12)
        return wire.broken

    found = asyncio.run(go())
    assert type(found) is kind
    assert found.blame is blame


@pytest.mark.parametrize(("first_s", "second_s"), [(0.05, 0.15), (5.0, 0.05)])
def test_each_answer_on_a_connection_has_its_own_time(first_s: float, second_s: float) -> None:
    """One timer is for all of them."""

    async def go() -> float:
        wire = Wire()
        wire.connection_made(_Nowhere())  # type: ignore[arg-type]
        wire.await_head(_limits(total_s=first_s))
        wire.has_head()
        wire.reset()
        loop = asyncio.get_running_loop()
        start = loop.time()
        wire.await_head(_limits(total_s=second_s))
        while wire.broken is None and loop.time() < start + 4:
            await asyncio.sleep(0.01)
        assert type(wire.broken) is TotalTimeout
        return loop.time() - start

    assert second_s - 0.005 <= asyncio.run(go()) < 4


def test_an_answer_that_came_in_time_is_not_late_afterwards() -> None:
    async def go() -> UpstreamError | None:
        wire = Wire()
        wire.connection_made(_Nowhere())  # type: ignore[arg-type]
        wire.await_head(_limits(total_s=0.02))
        wire.has_head()
        await asyncio.sleep(0.06)
        return wire.broken

    assert asyncio.run(go()) is None


def test_who_was_kept_waiting_has_its_time_from_then_on() -> None:
    async def go() -> tuple[UpstreamError | None, UpstreamError | None]:
        wire = Wire()
        wire.connection_made(_Nowhere())  # type: ignore[arg-type]
        size = HELD_MOST + 1
        wire.data_received(HEAD + f"{size:x}\r\n".encode() + b"x" * size)
        Reply(wire, _limits(total_s=60.0))
        await asyncio.sleep(0.3)
        before = wire.broken
        wire.took(size)
        await asyncio.sleep(0.15)
        at_once = before or wire.broken
        await asyncio.sleep(0.3)
        return at_once, wire.broken

    at_once, later = asyncio.run(go())
    assert at_once is None
    assert type(later) is ReadTimeout


def test_more_than_is_read_at_once_is_no_fault_of_an_upstream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llmops_cli.serve.upstreams.reply.WHOLE_MOST", 1000)

    async def go() -> None:
        wire = Wire()
        wire.connection_made(_Nowhere())  # type: ignore[arg-type]
        wire.data_received(HEAD + b"7d0\r\n" + b"x" * 2000)
        await Reply(wire, _limits(total_s=5)).read()

    with pytest.raises(AnswerTooLarge) as refused:
        asyncio.run(go())
    assert outcome_of(refused.value) is Outcome.NOTHING


@pytest.mark.parametrize(
    ("bound", "error", "outcome"),
    [
        ("UNPACKED_MOST", AnswerTooLarge, Outcome.NOTHING),
        ("PIECE_MOST", MalformedAnswer, Outcome.BAD),
    ],
    ids=["a large answer", "a bomb"],
)
@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_nor_is_what_unpacks_to_more_unless_it_is_a_bomb(
    encoding: str,
    bound: str,
    error: type[UpstreamError],
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"llmops_cli.serve.upstreams.unpack.{bound}", 1000)
    body = b"x" * 2000
    packed = gzip.compress(body) if encoding == "gzip" else zstandard.compress(body)
    head = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: %b\r\n\r\n" % encoding.encode())

    async def go() -> None:
        wire = Wire()
        wire.connection_made(_Nowhere())  # type: ignore[arg-type]
        wire.data_received(head + b"%x\r\n%b\r\n" % (len(packed), packed))
        await Reply(wire, _limits(total_s=5)).read()

    with pytest.raises(error) as refused:
        asyncio.run(go())
    assert outcome_of(refused.value) is outcome


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_members_of_gzip_behind_one_another_are_one_answer(step: int) -> None:
    """RFC 1952, 2.2: some servers pack each piece that they flush by itself."""
    packed = b"".join(map(gzip.compress, (b"one ", b"", b"two ", b"three"))) + bytes(3)
    unpacker = Unpacker(b"gzip")
    pieces = [packed[start : start + step] for start in range(0, len(packed), step)]
    assert b"".join(map(unpacker.feed, pieces)) == b"one two three"
    assert unpacker.is_whole
