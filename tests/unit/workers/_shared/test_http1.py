"""Clients of every kind are answered by what HTTP says, and disturb nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from _shared.http1 import ConnectionOver, HttpConnection, HttpError, HttpRequest

CHUNKS = 20_000
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
TINY_CHUNKS = CHUNKED + b"2\r\nab\r\n" * CHUNKS + b"0\r\n\r\n"
SOON_S = 5.0

Result = TypeVar("Result")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says what it was asked, whole or as events."""
    connection = HttpConnection(reader, writer)
    with contextlib.suppress(ConnectionError):
        try:
            while True:
                request = await connection.read_request()
                if request.path == "/stream":
                    events = connection.events()
                    events.send({"n": 1})
                    await events.end()
                else:
                    said = [request.method, request.path, request.body.decode()]
                    await connection.reply(200, said)
        except HttpError as error:
            await connection.refuse(error.status, str(error))
    connection.close()


def asked(*parts: bytes, leaves: bool = True) -> bytes:
    """All that a server sends to these bytes. `leaves`: the client says that it is done."""

    async def run() -> bytes:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*address)
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.01)
            if leaves:
                writer.write_eof()
            said = await asyncio.wait_for(reader.read(), SOON_S)
            writer.close()
            await writer.wait_closed()
            served = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*served)
            return said

    return asyncio.run(run())


def head(*lines: str, target: str = "/echo", version: str = "1.1", host: str = "Host: x") -> bytes:
    return "\r\n".join([f"POST {target} HTTP/{version}", host, *lines, "", ""]).encode()


BODY = head("Content-Length: 2") + b"ab"


@pytest.mark.parametrize(
    "parts",
    [
        [BODY],
        [bytes([byte]) for byte in BODY],
        [head("Content-Length: 2", target="http://x:1/echo?a=b") + b"ab"],
        [head("Content-Length: 2", target="/%65cho?a=b") + b"ab"],
        [CHUNKED + b"1\r\na\r\n1;name=value\r\nb\r\n0\r\nTrailer: 1\r\n\r\n"],
    ],
    ids=["whole", "byte by byte", "a whole address", "escaped", "chunks"],
)
def test_a_request_is_read_in_each_of_its_forms(parts: list[bytes]) -> None:
    said = asked(*parts)
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert said.endswith(json.dumps(["POST", "/echo", "ab"]).encode())


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (head("Content-Length: 2", "Content-Length: 3"), 400),
        (head("Content-Length: 2", "Transfer-Encoding: chunked"), 400),
        (head("Content-Length: -1"), 400),
        (head("Content-Length: +2"), 400),
        (head("Content-Length : 2"), 400),
        (head("X: a\0b"), 400),
        (head("X: " + "a" * 300_000), 431),
        (head("Content-Length: 99999999999"), 413),
        (head("Transfer-Encoding: gzip"), 501),
        (CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", 400),
        (CHUNKED + b"-2\r\nab\r\n0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (head(version="9.9.9"), 400),
        (head(target="http://[x/"), 400),
    ],
    ids=[
        "two lengths",
        "a length beside chunks",
        "a negative length",
        "a signed length",
        "a space in a name",
        "a NUL",
        "a long head",
        "a long body",
        "another coding",
        "a chunk over its size",
        "a negative chunk",
        "TLS",
        "another version",
        "no address",
    ],
)
def test_what_has_no_certain_end_is_refused_and_nothing_after_it_is_read(
    raw: bytes, status: int
) -> None:
    said = asked(raw, BODY)
    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "raw", [head("Connection: close"), head(version="1.0")], ids=["asked for", "HTTP/1.0"]
)
@pytest.mark.parametrize("target", ["/echo", "/stream"])
def test_a_connection_that_is_to_be_closed_is_closed(raw: bytes, target: str) -> None:
    said = asked(raw.replace(b"/echo", target.encode()), leaves=False)
    assert said.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in said.lower()


def test_a_client_of_1_0_gets_events_without_chunks() -> None:
    said = asked(head(target="/stream", version="1.0"), leaves=False)
    assert said.endswith(b'\r\n\r\ndata: {"n": 1}\n\ndata: [DONE]\n\n')


def test_requests_that_come_at_once_are_answered_in_turn() -> None:
    said = asked(BODY + head(target="/stream") + BODY)
    assert said.count(b"HTTP/1.1 200") == 3
    assert said.count(b"[DONE]") == 1


def test_a_body_that_waits_to_be_wanted_is_asked_for() -> None:
    said = asked(head("Expect: 100-continue", "Content-Length: 2"), b"ab")
    assert said.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 200" in said


def test_a_head_has_the_head_of_the_whole() -> None:
    asks = b"HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n"
    said = asked(asks + asks)
    assert said.count(b"Content-Length: 20\r\n\r\n") == 2
    assert said.endswith(b"\r\n\r\n")


def test_a_client_that_still_sends_hears_why_it_is_refused() -> None:
    size = 40 << 20
    said = asked(head(f"Content-Length: {size}") + bytes(size))
    assert said.startswith(b"HTTP/1.1 413 ")


def test_chunks_are_read_up_to_the_size_of_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_shared.http1.MAX_BODY_BYTES", 1000)
    assert asked(CHUNKED + b"fffffffffff\r\n" + bytes(1001)).startswith(b"HTTP/1.1 413 ")


def test_an_answer_within_another_is_the_end_of_the_connection() -> None:
    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = HttpConnection(reader, writer)
        await connection.read_request()
        connection.events().send({"n": 1})
        with pytest.raises(ConnectionOver):
            await connection.reply(500, "")
        connection.close()

    async def run() -> bytes:
        async with await asyncio.start_server(both, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(BODY)
            said = await asyncio.wait_for(reader.read(), SOON_S)
            writer.close()
            await writer.wait_closed()
            served = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*served)
            return said

    said = asyncio.run(run())
    assert said.count(b"HTTP/1.1") == 1
    assert b'data: {"n": 1}' in said


async def reading(raw: bytes) -> Callable[[], Awaitable[HttpRequest]]:
    """Of bytes that have arrived, by a client that hears nothing."""
    reader = asyncio.StreamReader()
    reader.feed_data(raw)
    unheard: asyncio.StreamWriter = None  # type: ignore[assignment]
    return HttpConnection(reader, unheard).read_request


async def turns_beside(work: Awaitable[Result]) -> tuple[Result, int]:
    """What comes of it, and how often another task had its turn meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    result = await work
    counting.cancel()
    return result, turns


def test_tiny_chunks_leave_others_their_turn() -> None:
    async def run() -> tuple[HttpRequest, int]:
        read = await reading(TINY_CHUNKS)
        return await turns_beside(read())

    request, turns = asyncio.run(run())
    assert request.body == b"ab" * CHUNKS
    assert turns >= 10


def test_tiny_chunks_take_no_more_than_their_bytes() -> None:
    async def run() -> int:
        read = await reading(TINY_CHUNKS)
        tracemalloc.start()
        await read()
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak_bytes

    assert asyncio.run(run()) < 2 * len(TINY_CHUNKS)
