"""The sockets of a level: requests go out, and what comes back is stamped.

A wake-up takes one clock reading for everything that was readable by then.
"""

from __future__ import annotations

import contextlib
import select
import ssl
import time
from collections.abc import Callable

from llmops_cli.bench.connection import Connection, Request, head_of
from llmops_cli.bench.failure import (
    ErrorKind,
    RequestFailure,
    closed_failure,
    connection_failure,
    detailed_failure,
)
from llmops_cli.bench.opening import READ_AND_WRITE, ConnectionOpener
from llmops_cli.bench.plan import LevelPlan
from llmops_cli.runtime.wire import HttpResponse, ProtocolError

READ_BYTES = 1 << 14
EVENTS_A_WAKE = 256
LATE_NS = 10_000_000
AT_ONCE = 64
"""Connections that are opened together."""

now = time.monotonic_ns


class Connections:
    """Open connections, idle or with a request each, behind one epoll.

    `on_open` hears of each connection that was made, `on_answer` of each request whose answer is
    there, `on_failure` of one that gets none.
    """

    def __init__(
        self,
        plan: LevelPlan,
        *,
        on_open: Callable[[], None],
        on_answer: Callable[[Request], None],
        on_failure: Callable[[Request, RequestFailure], None],
        stop_fd: int | None,
    ) -> None:
        self._on_open = on_open
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._stop_fd = stop_fd
        self._epoll = select.epoll()
        if stop_fd is not None:
            self._epoll.register(stop_fd, select.EPOLLIN)
        self._opener = ConnectionOpener(plan.target, self._epoll)
        self._is_encrypted = self._opener.is_encrypted
        self._is_paced = plan.load.kind != "closed"
        self._head = head_of(plan)
        self._open: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self.sent = 0
        self.late = 0
        self.reconnects = 0
        self.stopped = False

    def open_ahead(self, count: int, *, patience_s: float = 10.0) -> None:
        """Opens connections in bursts.

        So no request of a closed level pays for the handshake.
        """
        give_up = now() + int(patience_s * 1e9)
        wanted = count
        while wanted and now() < give_up:
            batch = min(wanted, AT_ONCE)
            for _ in range(batch):
                self._connect(None)
            wanted -= batch
            while self._is_opening() and now() < give_up:
                self.poll(0.05)
            if not self._open:
                return  # refused: the requests will say why

    def _is_opening(self) -> bool:
        stages = [connection.stage for connection in self._open.values()]
        return any(stage != "open" for stage in stages)

    def close(self) -> None:
        connections = list(self._open.values())
        for connection in connections:
            self._drop(connection)
        self._epoll.close()

    def expire(self, sent_before_ns: int, failure: RequestFailure) -> None:
        """Fails what was sent before then and has no answer yet."""
        connections = list(self._open.values())
        for connection in connections:
            request = connection.request
            if request is not None and request.sent_ns <= sent_before_ns:
                self._fail(connection, failure)

    def poll(self, timeout_s: float, *, precisely: bool = False) -> int:
        """Handles what is readable within the time; how many sockets that was.

        `precisely`: to the microsecond, where epoll would sleep a millisecond too long.
        """
        if not precisely or timeout_s <= 0:
            events = self._epoll.poll(timeout_s, EVENTS_A_WAKE)
        elif timeout_s > 0.002:
            # epoll rounds up to a millisecond
            events = self._epoll.poll(timeout_s - 0.001, EVENTS_A_WAKE)
        else:  # and select on the epoll itself sleeps to the microsecond
            select.select([self._epoll], [], [], timeout_s)
            events = self._epoll.poll(0, EVENTS_A_WAKE)
        at_ns = now()
        connections = self._open
        for fd, mask in events:
            connection = connections.get(fd)
            if connection is None:
                if fd == self._stop_fd:
                    self.stopped = True
                    self._epoll.unregister(fd)
                continue
            if connection.stage == "open" and mask & select.EPOLLIN:
                self._readable(connection, at_ns)
            else:
                self._progress(connection, at_ns, mask)
        return len(events)

    def send(self, request: Request) -> None:
        connection: Connection | None = None
        while self._idle:
            candidate = self._idle.pop()
            if self._open.get(candidate.fd) is candidate:  # a number may be another one's by now
                connection = candidate
                break
        if connection is None:
            self._connect(request)
        else:
            self._write(connection, request)

    def _write(self, connection: Connection, request: Request) -> None:
        connection.request = request
        request.connection = connection
        body = request.turn.body
        data = b"%b%d.%d\r\nContent-Length: %d\r\n\r\n%b" % (
            self._head,
            request.index,
            request.turn_number,
            len(body),
            body,
        )
        request.response = HttpResponse()
        request.sent_ns = now()
        self.sent += 1
        delay_ns = request.sent_ns - request.intended_ns - request.connect_ns
        is_late = delay_ns > LATE_NS and not request.held
        if is_late and self._is_paced:
            self.late += 1
        self._push(connection, data)

    def _push(self, connection: Connection, data: bytes) -> None:
        try:
            count = connection.sock.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            count = 0
        except OSError as error:
            self._broken(connection, error)
            return
        connection.out = data[count:]
        if connection.out:
            self._epoll.modify(connection.fd, READ_AND_WRITE)

    def _connect(self, request: Request | None) -> None:
        try:
            connection = self._opener.start()
        except OSError as error:
            self._refused(request, error)
            return
        connection.request = request
        if request is not None:
            request.sent_ns = connection.opened_ns
            request.connection = connection
        self._open[connection.fd] = connection

    def _progress(
        self,
        connection: Connection,
        at_ns: int,
        mask: int,
    ) -> None:
        """A step towards an open connection, or writes that did not fit at once."""
        try:
            if connection.stage == "open":
                self._flush(connection, at_ns, mask)
            elif self._opener.advance(connection, mask):
                self._opened(connection)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._broken(connection, error)

    def _flush(
        self,
        connection: Connection,
        at_ns: int,
        mask: int,
    ) -> None:
        if connection.out and mask & select.EPOLLOUT:
            count = connection.sock.send(connection.out)
            connection.out = connection.out[count:]
            if not connection.out:
                self._epoll.modify(connection.fd, select.EPOLLIN)
        elif mask & (select.EPOLLHUP | select.EPOLLERR):
            self._readable(connection, at_ns)

    def _opened(self, connection: Connection) -> None:
        connection.stage = "open"
        self._epoll.modify(connection.fd, select.EPOLLIN)
        self._on_open()
        if connection.request is None:
            self._idle.append(connection)
            return
        connection.request.connect_ns += now() - connection.opened_ns
        self._write(connection, connection.request)

    # -- receiving

    def _readable(self, connection: Connection, at_ns: int) -> None:
        try:
            piece = connection.sock.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            self._broken(connection, error)
            return
        request = connection.request
        if request is None:  # closed by the server, or it says what nobody has asked
            self._drop(connection)
            return
        if not piece:
            if request.response.closed():
                self._drop(connection)
                self._on_answer(request)
            else:
                self._broken(connection, None)
            return
        try:
            done = request.response.feed(at_ns, piece)
            if self._is_encrypted and not done:
                done = self._feed_decrypted(connection, request, at_ns)
        except ProtocolError as error:
            failure = detailed_failure(ErrorKind.PROTOCOL, str(error))
            self._fail(connection, failure)
            return
        if done:
            connection.request = None
            connection.used = True
            if request.response.keep_alive:
                self._idle.append(connection)
            else:
                self._drop(connection)
            self._on_answer(request)

    def _feed_decrypted(
        self,
        connection: Connection,
        request: Request,
        at_ns: int,
    ) -> bool:
        """What TLS has decrypted already is read too: epoll does not tell of it."""
        assert isinstance(connection.sock, ssl.SSLSocket)
        done = False
        while not done:
            waiting = connection.sock.pending()
            if not waiting:
                break
            piece = connection.sock.recv(waiting)
            done = request.response.feed(at_ns, piece)
        return done

    # -- failures

    def _broken(self, connection: Connection, error: OSError | None) -> None:
        request = connection.request
        fresh = request is not None and not request.response.first_byte_ns
        self._drop(connection)
        if request is None:
            return
        if fresh and connection.used and not request.retried:
            # the server closed an idle connection just as we used it: that is no answer, so ask
            # again
            request.retried = True
            self.reconnects += 1
            self._connect(request)
            return
        if error is None:
            self._on_failure(request, closed_failure(before_any_answer=fresh))
        else:
            self._on_failure(request, connection_failure(error))

    def _fail(self, connection: Connection, failure: RequestFailure) -> None:
        request = connection.request
        self._drop(connection)
        if request is not None:
            self._on_failure(request, failure)

    def _refused(self, request: Request | None, error: OSError) -> None:
        if request is not None:
            request.sent_ns = now()
            self._on_failure(request, connection_failure(error))

    def _drop(self, connection: Connection) -> None:
        connection.request = None  # a cycle would keep both alive
        if self._open.get(connection.fd) is not connection:
            return  # dropped before: its number may be another connection's by now
        del self._open[connection.fd]
        with contextlib.suppress(OSError, ValueError):
            self._epoll.unregister(connection.fd)
        with contextlib.suppress(OSError):
            connection.sock.close()
