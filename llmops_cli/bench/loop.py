"""The timed part: one epoll loop that sends requests when they are due and stamps what comes back.

A wake-up takes one clock reading for everything that was readable by then. Answers are parsed while
nothing is readable, or when too many wait.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator

from llmops_cli.bench.connection import (
    Connection,
    Request,
    head_of,
    tls_context,
)
from llmops_cli.bench.failure import (
    ErrorKind,
    RequestFailure,
    closed_failure,
    connection_failure,
    detailed_failure,
    timeout_failure,
)
from llmops_cli.bench.plan import LevelPlan
from llmops_cli.bench.record import Record
from llmops_cli.bench.session import Session, Turn
from llmops_cli.bench.wire import (
    Completion,
    HttpResponse,
    ProtocolError,
    gaps_of,
    parse_answer,
    text_digest,
)
from llmops_cli.core.histogram import key_of

READ_BYTES = 1 << 14
EVENTS_A_WAKE = 256
BACKLOG = 64
"""Unparsed answers that may wait for an idle moment, or two for each stream if that is more."""
LAG_EVERY_NS = 20_000_000
LATE_NS = 10_000_000
APART_NS = 1_000_000
SPREAD_NS = 1_000_000_000
"""Closed streams start a millisecond apart, all within a second: in lockstep they would queue
behind one another.
"""
EXPIRE_EVERY_NS = 200_000_000
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)

now = time.monotonic_ns


class Loop:
    """Runs one level.

    `emit` gets each finished request's record; `on_tick` is called about four times a second.
    """

    def __init__(
        self,
        plan: LevelPlan,
        sessions: Iterator[tuple[int, Session]],
        *,
        due_ns: Iterator[int] | None,
        emit: Callable[[Record], None],
        on_tick: Callable[[], None],
        stop_fd: int | None = None,
    ) -> None:
        self.plan = plan
        self._target = plan.target
        self._sessions = sessions
        self._due_ns = due_ns
        self._emit = emit
        self._on_tick = on_tick
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._timers: list[tuple[int, int, Callable[[int], None]]] = []
        self._timer_number = 0
        self._waiting: deque[Request] = deque()  # due, but max_in_flight is reached
        self._next_expiry_ns = 0
        self._timeout_ns = int(plan.target.timeout_s * 1e9)
        self._ready: deque[tuple[int, Session, Turn | None]] = deque()
        self._most_backlog = max(BACKLOG, 2 * plan.streams)
        self._ready_wanted = max(64, plan.streams)
        self._backlog: deque[Request] = deque()
        self._head = head_of(plan)
        self._tls = tls_context(plan.target)
        self._stop_fd = stop_fd
        self._next_due: int | None = None
        self._failures = 0
        self.in_flight = self.max_in_flight = 0
        self.sent = self.late = self.reconnects = 0
        self.stopped = self._exhausted = False
        self.lags: dict[int, int] = {}
        self.origin_ns = 0
        self._deadline_ns: int | None = None
        if stop_fd is not None:
            self._epoll.register(stop_fd, select.EPOLLIN)

    # -- before the clock starts

    def open_connections(self, count: int, *, patience_s: float = 10.0) -> None:
        """Opens connections in bursts of 64.

        So no request of a closed level pays for the handshake.
        """
        give_up = now() + int(patience_s * 1e9)
        wanted = count
        while wanted and now() < give_up:
            batch = min(wanted, 64)
            for _ in range(batch):
                self._open(None)
            wanted -= batch
            while any(c.stage != "open" for c in self._connections.values()) and now() < give_up:
                self._poll(0.05)
            if not self._connections:
                return  # refused: the requests will say why

    def prepare_requests(self) -> None:
        """Makes the first requests, one for each stream."""
        while len(self._ready) < self._ready_wanted and self._prepare():
            pass

    # -- the level

    def run(self, start_ns: int) -> None:
        """From `start_ns` until every request has ended, or a stop."""
        self.origin_ns = start_ns
        plan = self.plan
        if plan.load.duration_s is not None:
            self._deadline_ns = start_ns + int(plan.load.duration_s * 1e9)
        if plan.load.kind == "closed":
            apart_ns = min(APART_NS, SPREAD_NS // max(1, plan.load.concurrency or 1))
            for stream in range(plan.streams):
                self._at(
                    start_ns + (stream * plan.workers + plan.worker) * apart_ns, self._next_session
                )
        else:
            self._advance_arrivals()
        self._at(start_ns + LAG_EVERY_NS, self._measure_lag)
        while not self.stopped and (self.in_flight or self._waiting or self._has_more()):
            self._turn()
        while self._backlog:
            self._parse_one()
        self._on_tick()

    def close(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._epoll.close()

    def _has_more(self) -> bool:
        return (
            self._next_due is not None or len(self._timers) > 1 or bool(self._backlog)
        )  # one timer is the lag's

    def _turn(self) -> None:
        at = now()
        timers = self._timers
        while timers and timers[0][0] <= at:
            due, _, action = heapq.heappop(timers)
            action(due)
        while self._next_due is not None and self._next_due <= at:
            due = self._next_due
            self._next_due = None
            self._arrive(due)
            self._advance_arrivals()
        if self._backlog:
            if not self._poll(0.0):
                self._parse_one()
            while (
                len(self._backlog) > self._most_backlog
            ):  # never idle: parse as fast as answers come
                self._parse_one()
            return
        if len(self._ready) < self._ready_wanted and not self._poll(0.0) and self._prepare():
            return
        wake = min(
            timers[0][0] if timers else at + LAG_EVERY_NS, self._next_due or at + LAG_EVERY_NS
        )
        self._poll(max(0.0, (wake - now()) / 1e9))

    def _poll(self, timeout_s: float) -> int:
        """Handles what is readable within the time; how many sockets that was."""
        if self._due_ns is None or timeout_s <= 0:
            events = self._epoll.poll(timeout_s, EVENTS_A_WAKE)
        elif timeout_s > 0.002:
            events = self._epoll.poll(
                timeout_s - 0.001, EVENTS_A_WAKE
            )  # epoll rounds up to a millisecond
        else:  # and select on the epoll itself sleeps to the microsecond
            select.select([self._epoll], [], [], timeout_s)
            events = self._epoll.poll(0, EVENTS_A_WAKE)
        at_ns = now()
        connections = self._connections
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

    # -- what is due

    def _at(self, due_ns: int, action: Callable[[int], None]) -> None:
        self._timer_number += 1
        heapq.heappush(self._timers, (due_ns, self._timer_number, action))

    def _advance_arrivals(self) -> None:
        self._next_due = None
        if self._due_ns is not None and (due := next(self._due_ns, None)) is not None:
            self._next_due = self.origin_ns + due

    def _measure_lag(self, due: int) -> None:
        at = now()
        key = key_of((at - due) / 1e6)
        self.lags[key] = self.lags.get(key, 0) + 1
        self._at(at + LAG_EVERY_NS, self._measure_lag)
        self._expire(at)
        self._on_tick()

    def _expire(self, at: int) -> None:
        if at < self._next_expiry_ns:
            return
        self._next_expiry_ns = at + EXPIRE_EVERY_NS
        for connection in list(self._connections.values()):
            request = connection.request
            if request is not None and request.sent_ns + self._timeout_ns <= at:
                self._fail(connection, timeout_failure(self._target.timeout_s))

    def _next_session(self, due: int) -> None:
        """Closed load: a free stream takes the next session."""
        if (self._exhausted and not self._ready) or (
            self._deadline_ns is not None and now() >= self._deadline_ns
        ):
            return
        found = self._take()
        if found is not None:
            index, session, turn = found
            self._begin(session, turn, index, 0, due)

    def _arrive(self, due: int) -> None:
        found = self._take()
        if found is None:
            self._due_ns = None
            return
        index, session, turn = found
        self._begin(session, turn, index, 0, due)

    def _take(self) -> tuple[int, Session, Turn | None] | None:
        if not self._ready:
            self._prepare()
        return self._ready.popleft() if self._ready else None

    def _prepare(self) -> bool:
        """Makes one session's first request ahead of its time, while nothing is to be stamped."""
        if self._exhausted:
            return False
        found = next(self._sessions, None)
        if found is None:
            self._exhausted = True
            return False
        index, session = found
        self._ready.append((index, session, session.next_turn(None)))
        return True

    def _begin(
        self,
        session: Session,
        turn: Turn | None,
        index: int,
        turn_number: int,
        due: int,
    ) -> None:
        if turn is None:
            if self.plan.load.kind == "closed":
                self._next_session(due)
            return
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        request = Request(session, turn, index=index, turn_number=turn_number, intended_ns=due)
        limit = self.plan.max_in_flight
        if limit is not None and self.in_flight > limit:
            request.held = (
                True  # as asked: its wait counts in every latency, but not as the client's lateness
            )
            self._waiting.append(request)
        else:
            self._send(request)

    # -- sending

    def _send(self, request: Request) -> None:
        connection: Connection | None = None
        while self._idle:
            candidate = self._idle.pop()
            if candidate.fd in self._connections:
                connection = candidate
                break
        if connection is None:
            self._open(request)
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
        if self.plan.load.kind != "closed" and not request.held and delay_ns > LATE_NS:
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
            self._epoll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)

    def _open(self, request: Request | None) -> None:
        target = self._target
        try:
            sock = socket.socket(target.family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex(tuple(target.address))
        except OSError as error:
            self._refused(request, error)
            return
        if code not in (0, errno.EINPROGRESS, errno.EAGAIN):
            sock.close()
            self._refused(request, OSError(code, errno.errorcode.get(code, str(code))))
            return
        connection = Connection(sock)
        connection.request = request
        if request is not None:
            request.sent_ns = connection.opened_ns
            request.connection = connection
        self._connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN | select.EPOLLOUT)

    def _progress(
        self,
        connection: Connection,
        at_ns: int,
        mask: int,
    ) -> None:
        """The proxy's tunnel, the TLS handshake, and writes that did not fit at once."""
        try:
            if connection.stage == "connecting":
                code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    raise OSError(code, errno.errorcode.get(code, str(code)))
                if mask & select.EPOLLOUT:
                    self._connected(connection)
            elif connection.stage == "tunnel" and mask & select.EPOLLIN:
                self._tunnelled(connection)
            elif connection.stage == "handshake":
                self._shake(connection)
            elif connection.stage == "open":
                if connection.out and mask & select.EPOLLOUT:
                    count = connection.sock.send(connection.out)
                    connection.out = connection.out[count:]
                    if not connection.out:
                        self._epoll.modify(connection.fd, select.EPOLLIN)
                elif mask & (select.EPOLLHUP | select.EPOLLERR):
                    self._readable(connection, at_ns)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._broken(connection, error)

    def _connected(self, connection: Connection) -> None:
        target = self._target
        if target.proxy and target.scheme == "https":
            connection.stage = "tunnel"
            place = f"{target.host}:{target.port}"
            ask = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n"
            connection.sock.send(ask.encode())
            self._epoll.modify(connection.fd, select.EPOLLIN)
        elif target.scheme == "https":
            self._start_tls(connection)
        else:
            self._opened(connection)

    def _tunnelled(self, connection: Connection) -> None:
        reply = connection.sock.recv(READ_BYTES)
        if not reply.startswith(b"HTTP/1.") or reply.split(b" ", 2)[1:2] != [b"200"]:
            raise OSError(errno.ECONNREFUSED, f"the proxy refused: {reply[:60]!r}")
        self._start_tls(connection)

    def _start_tls(self, connection: Connection) -> None:
        assert self._tls is not None
        connection.stage = "handshake"
        connection.sock = self._tls.wrap_socket(
            connection.sock, server_hostname=self._target.host, do_handshake_on_connect=False
        )
        self._shake(connection)

    def _shake(self, connection: Connection) -> None:
        assert isinstance(connection.sock, ssl.SSLSocket)
        connection.sock.do_handshake()
        self._opened(connection)

    def _opened(self, connection: Connection) -> None:
        connection.stage = "open"
        self._epoll.modify(connection.fd, select.EPOLLIN)
        self._failures = 0
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
        if request is None:
            if not piece:  # an idle connection that the server has closed
                self._drop(connection)
            return
        if not piece:
            if request.response.closed():
                self._drop(connection)
                self._finished(request)
            else:
                self._broken(connection, None)
            return
        try:
            done = request.response.feed(at_ns, piece)
            if self._tls is not None:
                while not done and (waiting := connection.sock.pending()):  # type: ignore[attr-defined]
                    done = request.response.feed(at_ns, connection.sock.recv(waiting))
        except ProtocolError as error:
            self._fail(connection, detailed_failure(ErrorKind.PROTOCOL, str(error)))
            return
        if done:
            connection.request = None
            connection.used = True
            if request.response.keep_alive:
                self._idle.append(connection)
            else:
                self._drop(connection)
            self._finished(request)

    def _finished(self, request: Request) -> None:
        """The stream goes on before the answer is parsed, unless the next turn needs its text."""
        self.in_flight -= 1
        request.done_ns = done_ns = now()
        failed = request.response.status != 200
        if request.session.needs_answer:
            answer = self._parse(request)
            self._after(request, answer, done_ns, failed=answer.failure is not None)
        else:
            self._backlog.append(request)
            self._after(request, None, done_ns, failed=failed)
        self._release()

    def _after(
        self,
        request: Request,
        answer: Completion | None,
        at: int,
        *,
        failed: bool,
    ) -> None:
        session = request.session
        if answer is not None and not failed:
            due = at + int(session.think_time_s * 1e9)
            turn = session.next_turn(answer.text)
            number = request.turn_number + 1
            if session.think_time_s and turn is not None:
                self._at(due, lambda due: self._begin(session, turn, request.index, number, due))
            else:
                self._begin(session, turn, request.index, number, at)
            return
        if self.plan.load.kind == "closed":
            if failed or self._failures > self.plan.streams:
                # a server that refuses at once must not be asked a million times a second
                pause = BACKOFF_S[
                    min(self._failures // max(1, self.plan.streams), len(BACKOFF_S) - 1)
                ]
                self._at(at + int(pause * 1e9), self._next_session)
            else:
                self._next_session(at)

    def _release(self) -> None:
        limit = self.plan.max_in_flight
        while self._waiting and (limit is None or self.in_flight - len(self._waiting) < limit):
            self._send(self._waiting.popleft())

    def _parse_one(self) -> None:
        self._parse(self._backlog.popleft())

    def _parse(self, request: Request) -> Completion:
        answer = parse_answer(request.response)
        if answer.failure is None and request.done_ns - request.sent_ns > self._timeout_ns:
            answer.failure = timeout_failure(self._target.timeout_s)
        if answer.failure is None:
            self._failures = 0
        else:
            self._failures += 1
        self._record(request, answer)
        return answer

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
            self._open(request)
            return
        if error is None:
            self._give_up(request, closed_failure(before_any_answer=fresh))
        else:
            self._give_up(request, connection_failure(error))

    def _fail(self, connection: Connection, failure: RequestFailure) -> None:
        request = connection.request
        self._drop(connection)
        if request is not None:
            self._give_up(request, failure)

    def _refused(self, request: Request | None, error: OSError) -> None:
        if request is not None:
            request.sent_ns = now()
            self._give_up(request, connection_failure(error))

    def _give_up(self, request: Request, failure: RequestFailure) -> None:
        self.in_flight -= 1
        request.done_ns = now()
        answer = Completion()
        if request.response.status == 200:
            answer = parse_answer(request.response)
        answer.failure = failure
        self._record(request, answer)
        self._failures += 1
        self._after(request, answer, request.done_ns, failed=True)
        self._release()

    def _drop(self, connection: Connection) -> None:
        self._connections.pop(connection.fd, None)
        connection.request = None  # a cycle would keep both alive
        with contextlib.suppress(OSError, ValueError):
            self._epoll.unregister(connection.fd)
        with contextlib.suppress(OSError):
            connection.sock.close()

    # -- records

    def _record(self, request: Request, answer: Completion) -> None:
        origin = self.origin_ns
        stamps = answer.stamps
        usage = answer.usage
        tokens = usage.get("completion_tokens")
        counted = tokens if isinstance(tokens, int) else len(stamps)
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else 0
        error = None
        if answer.failure is not None:
            error = self._target.without_secrets(answer.failure.text)
        self._emit(
            Record(
                index=request.index,
                level=self.plan.level,
                repetition=self.plan.repetition,
                worker=self.plan.worker,
                conversation=request.session.index,
                turn=request.turn_number,
                intended_ns=request.intended_ns - origin,
                sent_ns=request.sent_ns - origin,
                connect_ns=request.connect_ns,
                first_ns=stamps[0] - origin if stamps else None,
                end_ns=stamps[-1] - origin if stamps else None,
                done_ns=request.done_ns - origin,
                chunks=len(stamps),
                gaps=gaps_of(stamps, counted),
                input_wanted=request.turn.input_wanted,
                output_wanted=request.turn.output_wanted,
                input_tokens=int(usage.get("prompt_tokens") or 0),
                output_tokens=counted,
                cached_tokens=cached or 0,
                counted_by="usage" if isinstance(tokens, int) else "chunks",
                finish_reason=answer.finish_reason,
                text_sha256=text_digest(answer.text) if answer.text else None,
                status=request.response.status or None,
                error=error,
                error_kind=answer.failure.kind if answer.failure else None,
            )
        )
        request.response = HttpResponse()  # the time-out queue may hold the request for a while yet
