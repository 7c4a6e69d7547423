"""What every server of a worker does, whatever it answers: connections, its models, its end."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from _openai.errors import RequestError, error_body
from _shared.build import model_digest
from _shared.engine_board import EngineBoard
from _shared.http1 import HttpConnection, HttpError, HttpRequest
from _shared.metric_family import exposition

LOG = logging.getLogger("llmops.engine")
WATCH_EVERY_S = 0.2
DRAIN_EVERY_S = 0.05
DRAIN_S = 3
"""Enough for short answers; whoever starts a server for good gives it more."""

# An answer is JSON: texts, numbers and lists of objects.
Json = dict[str, Any]
Route = Callable[[HttpRequest, HttpConnection], Awaitable[None]]


class Served(Protocol):
    """What answers: its names, and whether it still does."""

    @property
    def models(self) -> Sequence[str]:
        """The model's name, then those of its adapters."""

    @property
    def context(self) -> int:
        """Most tokens of one request."""

    def failure(self) -> str | None:
        """Why it will compute nothing any more; None while it does."""


class Connections:
    """The requests of a connection, one after another; `under_way`: of all connections."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self.under_way = 0
        self.is_ending = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = HttpConnection(reader, writer)
        try:
            while await self._answer_next(connection) and not self.is_ending:
                pass
        except ConnectionError:
            pass
        finally:
            connection.close()

    async def _answer_next(self, connection: HttpConnection) -> bool:
        """Whether the connection may have another request."""
        try:
            request = await connection.read_request()
        except HttpError as error:
            await connection.refuse(error.status, error_body(error.status, str(error)))
            return False
        self.under_way += 1
        try:
            await self._route(request, connection)
        except RequestError as error:
            body = error_body(error.status, error.message, error.param)
            await connection.reply(error.status, body)
        except ConnectionError:
            raise
        except Exception as error:  # one request of a kind that nobody thought of
            LOG.exception("a request failed")
            await connection.reply(500, error_body(500, f"{type(error).__name__}: {error}"))
        finally:
            self.under_way -= 1
        return True


async def tell_health(served: Served, connection: HttpConnection) -> None:
    """The health of what computes: a server that only answers here is of no use."""
    failure = served.failure()
    if failure is None:
        await connection.reply(200, {"status": "ok"})
    else:
        await connection.reply(503, {"status": "stopped", "reason": failure})


def models_of(served: Served) -> Json:
    """The answer of /v1/models. `digest`: of the model, not of its adapters."""
    entries = []
    for name in served.models:
        entry: Json = {
            "id": name,
            "object": "model",
            "owned_by": "llmops",
            "max_model_len": served.context,
        }
        entries.append(entry)
    digest = model_digest()
    if digest:
        entries[0]["digest"] = digest
    return {"object": "list", "data": entries}


def metrics_text(
    gauges: Mapping[str, float],
    counts: Mapping[str, float],
    board: EngineBoard,
) -> str:
    """The answer of /metrics."""
    lines = [f"llmops_{name} {value}\n" for name, value in gauges.items()]
    lines += [f"llmops_{name}_total {value}\n" for name, value in counts.items()]
    lines.append(exposition(board.families()))
    return "".join(lines)


class Address(NamedTuple):
    """Where a server listens. This machine alone can ask it unless the host says otherwise.

    `drain_s`: how long it goes on with its answers once it has been told to end.
    """

    host: str
    port: int
    drain_s: int = DRAIN_S

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def add_address(parser: argparse.ArgumentParser) -> None:
    """--host, --port and --drain-s."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--drain-s", type=int, default=DRAIN_S)


def address_of(args: argparse.Namespace) -> Address:
    return Address(args.host, args.port, args.drain_s)


def run_server(
    connections: Connections,
    served: Served,
    address: Address,
) -> None:
    """Until SIGTERM, or until nothing is computed any more: whoever watches starts anew."""
    failure = asyncio.run(_serve(connections, served, address))
    if failure is not None:
        print(f"the engine has ended: {failure}", file=sys.stderr, flush=True)
        os._exit(1)  # threads of the engine would not let an exit through


async def _serve(
    connections: Connections,
    served: Served,
    address: Address,
) -> str | None:
    """Why the engine failed; None for an end that was asked for."""
    signals = Signals()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.tell)
    try:
        server = await asyncio.start_server(connections.serve, address.host, address.port)
    except OSError as error:
        sys.exit(f"cannot listen on {address}: {error.strerror}")
    names = ", ".join(served.models)
    print(f"serving {names} on {address}", flush=True)
    failure = await _until_over(served, signals.end)
    server.close()
    if failure is None:
        failure = await _drained(connections, served, signals, address.drain_s)
    return failure


class Signals:
    """The first asks for an end after the answers under way, another for one at once."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.at_once = asyncio.Event()

    def tell(self) -> None:
        if self.end.is_set():
            self.at_once.set()
        self.end.set()


async def _until_over(served: Served, end: asyncio.Event) -> str | None:
    while not end.is_set():
        failure = served.failure()
        if failure is not None:
            await asyncio.sleep(WATCH_EVERY_S)  # those who wait hear of it first
            return failure
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), WATCH_EVERY_S)
    return None


async def _drained(
    connections: Connections,
    served: Served,
    signals: Signals,
    most_s: float,
) -> str | None:
    """The failure of an engine that breaks meanwhile."""
    connections.is_ending = True
    loop = asyncio.get_running_loop()
    until_s = loop.time() + most_s
    while connections.under_way and loop.time() < until_s and not signals.at_once.is_set():
        failure = served.failure()
        if failure is not None:
            return failure
        await asyncio.sleep(DRAIN_EVERY_S)
    return None
