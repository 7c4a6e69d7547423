"""A load worker, one process of a run: `python -m llmops_cli.bench.worker`.

It is told what to do on stdin. It ends when its stdin does, so nothing is left behind, and writes
each finished request to disk at once. Lines in: a LevelPlan, then `go NANOSECONDS`, and so on.
Lines out: `ready`, Ticks, and a LevelDone.
"""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from itertools import count, islice

import msgspec

from llmops_cli.bench.arrivals import due_times_s
from llmops_cli.bench.failure import ErrorKind
from llmops_cli.bench.loop import Loop
from llmops_cli.bench.plan import LevelDone, LevelPlan, Tick
from llmops_cli.bench.record import Record, ttft_ms, visible_tokens
from llmops_cli.bench.session import Session
from llmops_cli.bench.workload import SessionSource

TICK_NS = 250_000_000
MOST_TTFTS = 256
SPARE_CONNECTIONS = 32


def main() -> None:
    """Levels until stdin ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C goes to the whole terminal; the parent decides
    _raise_file_limit()
    decode = msgspec.json.Decoder(LevelPlan).decode
    while (line := _read_line()) and line != b"stop":
        try:
            _level(decode(line))
        except OSError as error:  # sockets' errors are data; this one is the disk's
            failure = [error.errno or 0, str(error)]
            _say(b"failed " + msgspec.json.encode(failure))
            return


def _level(plan: LevelPlan) -> None:
    source = SessionSource(plan.work, f"{plan.work.seed}/{plan.level}/{plan.repetition}")
    out = _Out(plan)
    loop = Loop(
        plan,
        _sessions(plan, source),
        due_ns=_due_ns(plan, source),
        emit=out.emit,
        on_tick=out.tick,
        stop_fd=0,
    )
    out.loop = loop
    connections = min(SPARE_CONNECTIONS, plan.streams)
    if plan.load.kind == "closed":
        connections = plan.streams
    loop.prepare(connections=connections)
    _quiet_collector()
    _say(b"ready")
    go = _read_line()
    if go.startswith(b"go "):
        done = _run(loop, int(go[3:]))
    else:
        done = _done(loop, cpu_s=0.0, duration_s=0.0, was_stopped=True)
    loop.close()
    out.close()
    source.close()
    gc.unfreeze()
    _say(b"done " + msgspec.json.encode(done))


def _quiet_collector() -> None:
    """A full collection in the middle would be measured."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)


def _run(loop: Loop, start_ns: int) -> LevelDone:
    """The clock says when to begin, so that all workers begin together."""
    wait_ns = start_ns - time.monotonic_ns()
    time.sleep(max(0.0, wait_ns / 1e9))
    began_s = time.process_time()
    loop.run(start_ns)
    cpu_s = time.process_time() - began_s
    duration_ns = time.monotonic_ns() - start_ns
    was_stopped = loop.connections.stopped
    return _done(loop, cpu_s=cpu_s, duration_s=duration_ns / 1e9, was_stopped=was_stopped)


def _done(
    loop: Loop,
    *,
    cpu_s: float,
    duration_s: float,
    was_stopped: bool,
) -> LevelDone:
    connections = loop.connections
    usage = resource.getrusage(resource.RUSAGE_SELF)
    lags: list[float] = []
    for bucket_and_count in loop.lags.items():
        lags.extend(bucket_and_count)
    return LevelDone(
        cpu_s=cpu_s,
        duration_s=duration_s,
        lags=tuple(lags),
        late=connections.late,
        sent=connections.sent,
        reconnects=connections.reconnects,
        peak_rss_bytes=usage.ru_maxrss * 1024,
        stopped=was_stopped,
        max_in_flight=loop.max_in_flight,
    )


def _sessions(plan: LevelPlan, source: SessionSource) -> Iterator[tuple[int, Session]]:
    """This worker's share: every `workers`-th session."""
    numbers: Iterator[int] = iter(count())
    load = plan.load
    if load.kind == "trace":
        rows = len(source)
        numbers = iter(range(rows if load.count is None else min(load.count, rows)))
    elif load.count is not None:
        numbers = _numbers(load.count, load.least_s)
    own = islice(numbers, plan.worker, None, plan.workers)
    for index in own:
        yield index, source.session(index)


def _numbers(wanted: int, least_s: float) -> Iterator[int]:
    """`wanted` of them, and more until `least_s` have gone by."""
    began = time.monotonic()
    for number in count():
        has_time = time.monotonic() - began < least_s
        if number >= wanted and not has_time:
            return
        yield number


def _due_ns(plan: LevelPlan, source: SessionSource) -> Iterator[int] | None:
    load = plan.load
    if load.kind == "closed":
        return None
    if load.kind == "trace":
        times = source.due_times_s(load)
        if load.duration_s is not None:
            limit = load.duration_s
            times = (due for due in times if due < limit)
    else:
        seed = f"{plan.work.seed}/{plan.level}/{plan.repetition}"
        times = due_times_s(load, seed)
    own = islice(times, plan.worker, None, plan.workers)
    return (int(due * 1e9) for due in own)


class _Out:
    """Records to the spool, ticks to the parent."""

    def __init__(self, plan: LevelPlan) -> None:
        # unbuffered: a request that has ended is on disk, whatever happens next
        self._file = open(plan.spool, "ab", buffering=0)  # noqa: SIM115, PTH123 - closed in close()
        self._encode = msgspec.json.Encoder().encode
        self.loop: Loop | None = None
        self._told_ns = time.monotonic_ns()
        self._parent = os.getppid()
        self._clear()

    def _clear(self) -> None:
        self._done = self._errors = self._tokens = 0
        self._ttfts: list[float] = []
        self._last_error: str | None = None
        self._last_kind: ErrorKind | None = None

    def emit(self, record: Record) -> None:
        if record.error is not None and os.getppid() != self._parent:
            sys.exit(1)  # the run was killed and its engine with it: this is no failure of either
        line = self._encode(record) + b"\n"
        if self._file.write(line) != len(line):  # a disk that fills up takes the first part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._done += 1
        if record.error is None:
            self._tokens += record.input_tokens if record.texts else visible_tokens(record)
            value = ttft_ms(record)
            if value is not None and len(self._ttfts) < MOST_TTFTS:
                self._ttfts.append(round(value, 3))
        else:
            self._errors += 1
            self._last_error = record.error
            self._last_kind = record.error_kind

    def tick(self) -> None:
        at = time.monotonic_ns()
        if at - self._told_ns < TICK_NS:
            return
        self._told_ns = at
        tick = Tick(
            done=self._done,
            errors=self._errors,
            tokens=self._tokens,
            in_flight=self.loop.in_flight if self.loop else 0,
            ttfts_ms=tuple(self._ttfts),
            last_error=self._last_error,
            last_kind=self._last_kind,
        )
        _say(b"tick " + msgspec.json.encode(tick))
        self._clear()

    def close(self) -> None:
        self._told_ns = 0
        self.tick()
        self._file.close()


_pending = b""


def _read_line() -> bytes:
    """A line of stdin, empty at its end.

    Read without a buffer that the event loop could not see.
    """
    global _pending  # noqa: PLW0603 - one stdin, one buffer
    while b"\n" not in _pending:
        piece = os.read(0, 1 << 16)
        if not piece:
            return b""
        _pending += piece
    line, _, _pending = _pending.partition(b"\n")
    return line


def _say(line: bytes) -> None:
    try:
        os.write(1, line + b"\n")
    except BrokenPipeError:
        sys.exit(1)


def _raise_file_limit() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
