"""Connections that servers close: no answer is another's, and none is waited for for ever."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.connection import Request
from llmops_cli.bench.connections import Connections
from llmops_cli.bench.failure import ErrorKind, RequestFailure
from llmops_cli.bench.loop import Loop
from llmops_cli.bench.plan import Destination, LevelPlan, Words, Workload
from llmops_cli.bench.record import Record
from llmops_cli.bench.session import PlannedTurn, Session
from llmops_cli.bench.workload import SessionSource
from tests.raw import whole

ANSWER = whole({"choices": []})


class Server:
    """Answers as it is told, connection by connection, in the order in which they were accepted."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.links: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.links.append(link)

    def close(self) -> None:
        for link in (*self.links, self._listener):
            link.close()


class Client:
    """Sends requests and tells what became of them."""

    def __init__(self, server: Server, *, ahead: int) -> None:
        self.answered: list[int] = []
        self.failed: list[str] = []
        self.connections = Connections(
            plan_for(server.port),
            on_open=lambda: None,
            on_answer=lambda request: self.answered.append(request.index),
            on_failure=self._failed,
            stop_fd=None,
        )
        self.connections.open_ahead(ahead)

    def _failed(self, request: Request, failure: RequestFailure) -> None:
        self.failed.append(f"{request.index}: {failure.text}")

    def send(self, index: int) -> None:
        turn = PlannedTurn(b"{}", 0, 0)
        session: Session = None  # type: ignore[assignment] # nobody asks it anything here
        at_ns = time.monotonic_ns()
        self.connections.send(Request(session, turn, index=index, turn_number=0, intended_ns=at_ns))

    def poll(self, *, until: int) -> None:
        give_up = time.monotonic() + 5
        while len(self.answered) + len(self.failed) < until and time.monotonic() < give_up:
            self.connections.poll(0.01)


def plan_for(port: int) -> LevelPlan:
    return LevelPlan(
        level=0,
        repetition=0,
        worker=0,
        workers=1,
        load=Load(kind="rate", label="1/s", rate_per_s=1.0),
        work=Workload(
            kind="synthetic",
            api="chat",
            fields={},
            input_tokens=8,
            output_tokens=8,
            words=Words(words=("a",), costs=(1,)),
        ),
        target=Destination(
            scheme="http",
            host="127.0.0.1",
            port=port,
            path="/",
            family=socket.AF_INET,
            address=("127.0.0.1", port),
        ),
        spool="",
        streams=3,
    )


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@contextmanager
def client_of(server: Server, *, ahead: int) -> Iterator[Client]:
    client = Client(server, ahead=ahead)
    give_up = time.monotonic() + 5
    while len(server.links) < ahead and time.monotonic() < give_up:
        time.sleep(0.001)
    try:
        yield client
    finally:
        client.connections.close()


def asked_on(server: Server, client: Client) -> socket.socket:
    """The connection that a request has come in on, with the request read."""
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        client.connections.poll(0.005)
        for link in [*server.links]:
            link.setblocking(False)
            try:
                if link.recv(4096):
                    return link
            except (BlockingIOError, ConnectionError):
                pass
    raise AssertionError("no request came")


def test_a_closed_connection_is_not_taken_for_a_new_one_of_its_number(server: Server) -> None:
    """The system gives the number of a closed socket to the next one that is opened."""
    with client_of(server, ahead=3) as client:
        client.send(0)
        used = asked_on(server, client)
        used.sendall(ANSWER)
        client.poll(until=1)
        for link in [*server.links]:
            if link is not used:
                link.close()
        server.links = [used]
        for _ in range(10):
            client.connections.poll(0.005)  # hears that the idle ones are closed
        client.send(1)
        asked_on(server, client)
        used.close()  # so it is asked again, on a new connection
        server.links = []
        again = asked_on(server, client)
        client.send(2)
        asked_on(server, client).sendall(ANSWER)
        again.sendall(ANSWER)
        client.poll(until=3)
        assert (sorted(client.answered), client.failed) == ([0, 1, 2], [])


def test_what_an_idle_connection_says_is_no_answer(server: Server) -> None:
    with client_of(server, ahead=1) as client:
        server.links[0].sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        for _ in range(10):
            client.connections.poll(0.005)
        client.send(0)
        asked_on(server, client).sendall(ANSWER)
        client.poll(until=1)
        assert (client.answered, client.failed) == ([0], [])


def test_requests_that_fail_at_once_do_not_fail_within_one_another(server: Server) -> None:
    """Each of those that were held back finds no file number left for its connection."""
    held = 1_500
    plan = msgspec.structs.replace(
        plan_for(server.port), load=Load(kind="burst", label="b", count=held), max_in_flight=1
    )
    source = SessionSource(plan.work, "0")
    sessions = ((index, source.session(index)) for index in range(held))
    records: list[Record] = []
    loop = Loop(plan, sessions, due_ns=iter([0] * held), emit=records.append, on_tick=lambda: None)
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)

    def refuse() -> None:
        while not server.links or not server.links[0].recv(4096):
            time.sleep(0.001)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, usual[1]))
        server.links[0].close()

    thread = threading.Thread(target=refuse)
    thread.start()
    try:
        loop.run(time.monotonic_ns())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    thread.join()
    loop.close()
    assert len(records) == held
    kinds = {record.error_kind for record in records[1:]}
    assert kinds == {ErrorKind.OPEN_FILES}
