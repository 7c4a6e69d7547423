"""The timed part of a level: requests begin when they are due, and the next ones follow.

Answers are parsed while nothing is readable, or when too many wait.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator

from llmops_cli.bench.ahead import SessionsAhead
from llmops_cli.bench.answer import Completion, parse_answer
from llmops_cli.bench.connection import Request
from llmops_cli.bench.connections import Connections
from llmops_cli.bench.failure import RequestFailure, timeout_failure
from llmops_cli.bench.plan import LevelPlan
from llmops_cli.bench.record import Record
from llmops_cli.bench.recording import record_of
from llmops_cli.bench.session import PlannedTurn, Session
from llmops_cli.bench.vectors import parse_vectors
from llmops_cli.core.histogram import key_of
from llmops_cli.runtime.wire import HttpResponse

BACKLOG = 64
"""Unparsed answers that may wait for an idle moment, or two for each stream if that is more."""
LAG_EVERY_NS = 20_000_000
APART_NS = 1_000_000
SPREAD_NS = 1_000_000_000
"""Closed streams start a millisecond apart, all within a second: in lockstep they would queue
behind one another.
"""
EXPIRE_EVERY_NS = 200_000_000
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)

TimerAction = Callable[[int], None]
"""What a timer does; it gets the time at which it was due."""

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
        self._ahead = SessionsAhead(sessions, streams=plan.streams)
        self._due_ns = due_ns
        self._emit = emit
        self._on_tick = on_tick
        self.connections = Connections(
            plan,
            on_open=self._opened,
            on_answer=self._finished,
            on_failure=self._give_up,
            stop_fd=stop_fd,
        )
        self._timers: list[tuple[int, int, TimerAction]] = []
        self._timer_number = 0
        self._waiting: deque[Request] = deque()  # due, but max_in_flight is reached
        self._is_releasing = False
        self._backlog: deque[Request] = deque()
        self._most_backlog = max(BACKLOG, 2 * plan.streams)
        self._timeout_s = plan.target.timeout_s
        self._timeout_ns = int(self._timeout_s * 1e9)
        self._next_expiry_ns = 0
        self._next_due: int | None = None
        self._deadline_ns: int | None = None
        self._failures = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.lags: dict[int, int] = {}
        self.origin_ns = 0

    def prepare(self, *, connections: int) -> None:
        """Opens connections and makes the first requests, before the clock starts."""
        self.connections.open_ahead(connections)
        self._ahead.fill()

    # -- the level

    def run(self, start_ns: int) -> None:
        """From `start_ns` until every request has ended, or a stop."""
        self.origin_ns = start_ns
        load = self.plan.load
        if load.duration_s is not None:
            self._deadline_ns = start_ns + int(load.duration_s * 1e9)
        if load.kind == "closed":
            self._start_streams(start_ns)
        else:
            self._advance_arrivals()
        self._at(start_ns + LAG_EVERY_NS, self._measure_lag)
        while not self.connections.stopped and self._has_work():
            self._turn()
        while self._backlog:
            self._parse_one()
        self._on_tick()

    def _start_streams(self, start_ns: int) -> None:
        plan = self.plan
        all_streams = max(1, plan.load.concurrency or 1)
        apart_ns = min(APART_NS, SPREAD_NS // all_streams)
        for stream in range(plan.streams):
            place = stream * plan.workers + plan.worker
            self._at(start_ns + place * apart_ns, self._next_session)

    def close(self) -> None:
        self.connections.close()

    def _has_work(self) -> bool:
        if self.in_flight or self._waiting or self._backlog:
            return True
        if self._next_due is not None:
            return True
        return len(self._timers) > 1  # one timer is the lag's

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
            if not self.connections.poll(0.0):
                self._parse_one()
            # never idle: parse as fast as answers come
            while len(self._backlog) > self._most_backlog:
                self._parse_one()
            return
        if not self._ahead.is_full and not self.connections.poll(0.0):
            self._ahead.prepare()
            return
        wake = at + LAG_EVERY_NS
        if timers:
            wake = min(wake, timers[0][0])
        if self._next_due is not None:
            wake = min(wake, self._next_due)
        wait_ns = wake - now()
        wait_s = max(0.0, wait_ns / 1e9)
        is_paced = self._due_ns is not None
        self.connections.poll(wait_s, precisely=is_paced)

    # -- what is due

    def _at(self, due_ns: int, action: TimerAction) -> None:
        self._timer_number += 1
        timer = (due_ns, self._timer_number, action)
        heapq.heappush(self._timers, timer)

    def _advance_arrivals(self) -> None:
        self._next_due = None
        if self._due_ns is None:
            return
        due = next(self._due_ns, None)
        if due is not None:
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
        failure = timeout_failure(self._timeout_s)
        self.connections.expire(at - self._timeout_ns, failure)

    def _next_session(self, due: int) -> None:
        """Closed load: a free stream takes the next session."""
        if self._ahead.is_empty:
            return
        if self._deadline_ns is not None and now() >= self._deadline_ns:
            return
        found = self._ahead.take()
        if found is not None and not self._is_enough(found[0]):
            index, session, turn = found
            self._begin(session, turn, index, 0, due)

    def _is_enough(self, index: int) -> bool:
        """Sessions beyond the count are for the level's least time, and some are made ahead."""
        load = self.plan.load
        if load.count is None or index < load.count:
            return False
        return now() - self.origin_ns >= load.least_s * 1e9

    def _arrive(self, due: int) -> None:
        found = self._ahead.take()
        if found is None:
            self._due_ns = None
            return
        index, session, turn = found
        self._begin(session, turn, index, 0, due)

    def _begin(
        self,
        session: Session,
        turn: PlannedTurn | None,
        index: int,
        turn_number: int,
        due: int,
    ) -> None:
        if turn is None:
            if self.plan.load.kind == "closed":
                self._next_session(due)
            return
        self.in_flight += 1
        request = Request(session, turn, index=index, turn_number=turn_number, intended_ns=due)
        limit = self.plan.max_in_flight
        if limit is not None and self.in_flight > limit:
            request.held = True  # as asked: its wait is no lateness of the client
            self._waiting.append(request)
        else:
            self._send(request)

    def _send(self, request: Request) -> None:
        sent = self.in_flight - len(self._waiting)
        self.max_in_flight = max(self.max_in_flight, sent)
        self.connections.send(request)

    def _opened(self) -> None:
        self._failures = 0

    def _finished(self, request: Request) -> None:
        """The stream goes on before the answer is parsed, unless the next turn needs its text."""
        self.in_flight -= 1
        done_ns = now()
        request.done_ns = done_ns
        if request.session.needs_answer:
            answer = self._parse(request)
            has_failed = answer.failure is not None
            self._after(request, answer, done_ns, failed=has_failed)
        else:
            has_failed = request.response.status != 200
            self._backlog.append(request)
            self._after(request, None, done_ns, failed=has_failed)
        self._release()

    def _after(
        self,
        request: Request,
        answer: Completion | None,
        at: int,
        *,
        failed: bool,
    ) -> None:
        if answer is not None and not failed:
            self._go_on(request, answer, at)
        elif self.plan.load.kind == "closed":
            if failed or self._failures > self.plan.streams:
                self._back_off(at)
            else:
                self._next_session(at)

    def _go_on(self, request: Request, answer: Completion, at: int) -> None:
        """The conversation's next turn, now or after the time to think."""
        session = request.session
        turn = session.next_turn(answer.said)
        index = request.index
        number = request.turn_number + 1

        def begin(due: int) -> None:
            self._begin(session, turn, index, number, due)

        if session.think_time_s and turn is not None:
            think_ns = int(session.think_time_s * 1e9)
            self._at(at + think_ns, begin)
        else:
            begin(at)

    def _back_off(self, at: int) -> None:
        """A server that refuses at once must not be asked a million times a second."""
        streams = max(1, self.plan.streams)
        in_a_row = self._failures // streams
        longest = len(BACKOFF_S) - 1
        pause_s = BACKOFF_S[min(in_a_row, longest)]
        pause_ns = int(pause_s * 1e9)
        self._at(at + pause_ns, self._next_session)

    def _release(self) -> None:
        """One after another: a request that fails at once has no other one sent from within."""
        if self._is_releasing:
            return
        self._is_releasing = True
        limit = self.plan.max_in_flight
        while self._waiting:
            sent = self.in_flight - len(self._waiting)
            if limit is not None and sent >= limit:
                break
            self._send(self._waiting.popleft())
        self._is_releasing = False

    def _parse_one(self) -> None:
        self._parse(self._backlog.popleft())

    def _answer_of(self, request: Request) -> Completion:
        work = self.plan.work
        if work.wants_vectors:
            return parse_vectors(request.response, texts=work.texts)
        return parse_answer(request.response)

    def _parse(self, request: Request) -> Completion:
        answer = self._answer_of(request)
        took_ns = request.done_ns - request.sent_ns
        if answer.failure is None and took_ns > self._timeout_ns:
            answer.failure = timeout_failure(self._timeout_s)
        if answer.failure is None:
            self._failures = 0
        else:
            self._failures += 1
        self._record(request, answer)
        return answer

    def _give_up(self, request: Request, failure: RequestFailure) -> None:
        self.in_flight -= 1
        request.done_ns = now()
        answer = Completion()
        if request.response.status == 200:
            answer = self._answer_of(request)
        answer.failure = failure
        self._record(request, answer)
        self._failures += 1
        self._after(request, answer, request.done_ns, failed=True)
        self._release()

    def _record(self, request: Request, answer: Completion) -> None:
        record = record_of(self.plan, request, answer, origin_ns=self.origin_ns)
        self._emit(record)
        request.response = HttpResponse()  # the time-out queue may hold the request for a while yet
