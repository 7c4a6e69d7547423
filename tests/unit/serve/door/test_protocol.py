"""A connection that waits for its next request has so long, whatever came before."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from llmops_cli.serve.answers.disconnect import ClientGone
from llmops_cli.serve.door import body as bodies
from llmops_cli.serve.door.body_room import BodyRoom
from llmops_cli.serve.door.protocol import TimedProtocol

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
IDLE_S = 0.3
CLOCK_S = 0.002
"""By which clocks differ."""


class Client:
    """A transport that remembers what it was told."""

    def __init__(self) -> None:
        self.answers = 0
        self.answered_at = 0.0
        self.closed_at = 0.0
        self.unsent = 0
        self.is_cut = False

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.is_cut = True

    def write(self, data: bytes) -> None:
        self.answers += data.count(b"200 OK")
        self.answered_at = asyncio.get_running_loop().time()

    def close(self) -> None:
        self.closed_at = asyncio.get_running_loop().time()

    def is_closing(self) -> bool:
        return self.closed_at > 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


async def connected(takes_s: float) -> tuple[TimedProtocol, Client]:
    """To an application that takes so long."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await asyncio.sleep(takes_s)
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, lifespan="off", log_level="error")
    config.load()
    loop = asyncio.get_running_loop()
    protocol = TimedProtocol(config, ServerState(), {}, loop)
    protocol.timeout_keep_alive = IDLE_S  # type: ignore[assignment]
    client = Client()
    protocol.connection_made(client)  # type: ignore[arg-type]
    return protocol, client


async def until_closed(client: Client) -> None:
    while not client.closed_at:
        await asyncio.sleep(0.005)
    assert client.closed_at - client.answered_at >= IDLE_S - CLOCK_S


async def until_answered(client: Client, times: int) -> None:
    while client.answers < times:
        await asyncio.sleep(0.005)


def test_a_connection_without_a_next_request_is_closed() -> None:
    async def go() -> None:
        protocol, client = await connected(0.0)
        protocol.data_received(REQUEST)
        await until_closed(client)

    asyncio.run(go())


def test_a_request_that_takes_longer_than_that_is_answered_and_the_time_begins_anew() -> None:
    async def go() -> None:
        protocol, client = await connected(2 * IDLE_S)
        protocol.data_received(REQUEST)
        await until_answered(client, 1)
        protocol.data_received(REQUEST)
        await until_answered(client, 2)
        await until_closed(client)

    asyncio.run(go())


def test_a_connection_that_is_lost_leaves_no_timer() -> None:
    async def go() -> None:
        protocol, client = await connected(0.0)
        protocol.data_received(REQUEST)
        await until_answered(client, 1)
        protocol.connection_lost(None)
        assert protocol.timeout_keep_alive_task is None

    asyncio.run(go())


TEXT = b"\r\n\r\nupgrade: of the text\r\n\r\n"
OFFERING = (
    b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nuPGRADE: h2c\r\n"
    b"Content-Length: %d\r\nUpgraded: yes\r\n\r\n%b" % (len(TEXT), TEXT)
)


async def heard(pieces: list[bytes]) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Bodies and headers of the requests that an application gets."""
    found = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        is_whole = False
        while not is_whole:
            message = await receive()
            body += message.get("body", b"")
            is_whole = not message.get("more_body")
        found.append((body, dict(scope["headers"])))
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, lifespan="off", log_level="error")
    config.load()
    protocol = TimedProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    client = Client()
    protocol.connection_made(client)  # type: ignore[arg-type]
    for piece in pieces:
        protocol.data_received(piece)
    async with asyncio.timeout(5):
        await until_answered(client, 2)
    protocol.connection_lost(None)
    return found


def test_an_offer_of_another_protocol_is_seen_however_its_lines_are_cut() -> None:
    """The body behind one that was not seen was lost, as bytes of the other protocol."""
    every = [bytes([byte]) for byte in OFFERING]
    cuts = [[OFFERING[:at], OFFERING[at:]] for at in range(1, len(OFFERING))]
    for pieces in [every, *cuts]:
        (body, headers), (again, _) = asyncio.run(heard([*pieces, OFFERING]))
        assert (body, again) == (TEXT, TEXT), pieces
        assert b"upgrade" not in headers
        assert headers[b"connection"] == b"Upgrade"
        assert headers[b"upgraded"] == b"yes"


def test_an_offer_without_an_end_is_refused() -> None:
    async def go() -> None:
        protocol, client = await connected(0.0)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: ")
        for _ in range(70):
            protocol.data_received(b"x" * 1024)
        assert client.closed_at

    asyncio.run(go())


TRAILING = (
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"
    b"2\r\nHi\r\n0\r\nX-Forwarded-For: 1.1.1.1\r\nAuthorization: Bearer x\r\n\r\n"
)


def test_what_stands_behind_a_body_is_no_header() -> None:
    """A client could say there whose its address is, behind the line of its proxy."""
    for body, headers in asyncio.run(heard([TRAILING, TRAILING])):
        assert body == b"Hi"
        assert headers[b"x-forwarded-for"] == b"9.9.9.9"
        assert b"authorization" not in headers


@pytest.mark.parametrize(("size", "is_taken"), [(1, False), (64, True)])
def test_a_body_in_crumbs_is_refused(size: int, is_taken: bool) -> None:
    """Each chunk costs a call: a few clients without a key kept all others waiting for 0.6 s."""

    async def go() -> None:
        protocol, client = await connected(5.0)
        protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"%x\r\n%b\r\n" % (size, b"a" * size)
        protocol.data_received(piece * 4000)
        assert not client.closed_at, "four thousand are fine"
        protocol.data_received(piece * 100_000)
        assert bool(client.closed_at) != is_taken
        protocol.connection_lost(None)

    asyncio.run(go())


@pytest.mark.parametrize(("count", "is_taken"), [(1000, True), (2100, False)])
def test_thousands_of_empty_headers_are_too_many(count: int, is_taken: bool) -> None:
    """Thirty thousand of them held the loop for 40 ms, without a key."""

    async def go() -> None:
        protocol, client = await connected(0.0)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * count + b"\r\n")
        assert bool(client.closed_at) != is_taken
        protocol.connection_lost(None)

    asyncio.run(go())


@pytest.mark.parametrize("unsent", [1, 0])
def test_a_client_that_still_takes_its_answer_makes_no_way(unsent: int) -> None:
    """All of a large answer is written long before a slow client has it: it was cut in between."""

    async def go() -> None:
        protocol, client = await connected(0.0)
        protocol.data_received(REQUEST)
        await until_answered(client, 1)
        client.unsent = unsent
        config = protocol.config
        config.limit_concurrency = 2
        state, loop = protocol.server_state, asyncio.get_running_loop()
        another = TimedProtocol(config, state, {}, loop)
        another.connection_made(Client())  # type: ignore[arg-type]
        assert client.is_cut == (not unsent)
        another.connection_lost(None)
        protocol.connection_lost(None)

    asyncio.run(go())


@pytest.mark.parametrize("request_", [b"GET / HTTP/1.1\r\nHost: x\n\n", b"GET / HTTP/1.0\n\n"])
def test_line_ends_of_another_form_are_refused_at_once(request_: bytes) -> None:
    """They were held as if the rest of a head were still to come."""

    async def go() -> None:
        protocol, client = await connected(0.0)
        protocol.data_received(request_)
        assert client.closed_at
        protocol.connection_lost(None)

    asyncio.run(go())


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_body_that_waits_for_room_has_its_time_behind_that(
    goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused (408) as one that did not come in time."""
    size = 300_000
    room = BodyRoom(most=size, each=size)
    monkeypatch.setattr(bodies, "_room", room)
    monkeypatch.setattr(TimedProtocol, "body_s", 0.2)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with suppress(ClientGone):
            await bodies.received(scope, receive, most=size, client="k")
            headers = [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    async def go() -> None:
        config = uvicorn.Config(app, lifespan="off", log_level="error")
        config.load()
        protocol = TimedProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        client = Client()
        protocol.connection_made(client)  # type: ignore[arg-type]
        async with room.held("k", size):
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
            protocol.data_received(head + b"a" * 200_000)
            await asyncio.sleep(0.1)
            protocol.data_received(b"a" * 50_000)
            await asyncio.sleep(0.5)
        assert not client.closed_at
        if goes_on:
            protocol.data_received(b"a" * 50_000)
        async with asyncio.timeout(5):
            while not (client.answers or client.closed_at):
                await asyncio.sleep(0.005)
        assert bool(client.answers) == goes_on
        protocol.connection_lost(None)
        await asyncio.sleep(0)

    asyncio.run(go())
