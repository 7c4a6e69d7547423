"""The load workers of a run, from the parent's side: started once, given one level at a time."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Self

import msgspec

from llmops_cli.bench.plan import LevelDone, LevelPlan, Tick
from llmops_cli.core.errors import EngineFailed, LlmopsError
from llmops_cli.runtime.files import cannot_write
from llmops_cli.runtime.paths import PACKAGE

START_DELAY_NS = 2_000_000
"""Between the word to go and the start, for each worker: all have read it by then."""
READY_TIMEOUT_S = 60.0
STOP_PATIENCE_S = 5.0

DiskFailure = tuple[int, str]
"""What a worker says of its disk: errno and text."""


class WorkerPool:
    """Worker processes that live as long as the block; they also end if we are killed."""

    def __init__(self, count: int, log_path: Path) -> None:
        try:
            self._log = log_path.open("ab")
        except OSError as error:
            raise cannot_write(log_path, error) from error
        self._log_path = log_path
        self._workers = [self._started() for _ in range(count)]

    def _started(self) -> subprocess.Popen[bytes]:
        path = str(PACKAGE.parent)
        others = os.environ.get("PYTHONPATH", "")
        if others:
            path += os.pathsep + others
        return subprocess.Popen(
            [sys.executable, "-m", "llmops_cli.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )

    @property
    def size(self) -> int:
        return len(self._workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for worker in self._workers:
            if worker.stdin and not worker.stdin.closed:
                worker.stdin.close()
        for worker in self._workers:
            try:
                worker.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            if worker.stdout:
                worker.stdout.close()
        self._log.close()
        log_bytes = 0
        if self._log_path.exists():
            log_bytes = self._log_path.stat().st_size
        if not log_bytes:
            self._log_path.unlink(missing_ok=True)

    def run(
        self,
        plans: Sequence[LevelPlan],
        *,
        on_tick: Callable[[Tick], None],
        on_start: Callable[[int], None],
        keep_on: Callable[[], bool],
    ) -> list[LevelDone]:
        """One plan for each worker; returns when all are done, or soon after `keep_on` says no.

        `on_start` gets the monotonic nanoseconds at which all of them begin.
        Raises: EngineFailed if a worker itself dies, EnvironmentMissing if it cannot write.
        """
        for worker, plan in zip(self._workers, plans, strict=True):
            order = msgspec.json.encode(plan)
            self._tell(worker, order)
        level = _RunningLevel(wanted=len(plans), on_tick=on_tick)
        lines = _Lines(self._pipes())
        give_up = time.monotonic() + READY_TIMEOUT_S
        stopping = False
        try:
            while not level.is_done:
                self._hear(lines, level, on_start)
                is_slow = time.monotonic() > give_up
                if is_slow and not level.has_started:
                    raise EngineFailed(
                        "the load workers did not become ready", hint=f"see {self._log_path}"
                    )
                if not stopping and not keep_on():
                    stopping = True
                    self.stop()
        except KeyboardInterrupt:
            self.stop()
            _settle(lines, level)
            raise
        finally:
            lines.close()
        return list(level.done.values())

    def _hear(
        self,
        lines: _Lines,
        level: _RunningLevel,
        on_start: Callable[[int], None],
    ) -> None:
        """What the workers say now."""
        for number, line in lines.read(0.25):
            is_healthy = level.take(number, line)
            if not is_healthy:
                raise self._died(number, line)
            if level.may_start:
                start_ns = self._start(level)
                on_start(start_ns)

    def _pipes(self) -> list[tuple[IO[bytes], int]]:
        return [
            (worker.stdout, number)
            for number, worker in enumerate(self._workers)
            if worker.stdout is not None
        ]

    def _start(self, level: _RunningLevel) -> int:
        """All workers begin together, at the monotonic nanosecond that is returned."""
        level.has_started = True
        delay_ns = START_DELAY_NS * len(self._workers)
        start_ns = time.monotonic_ns() + delay_ns
        for worker in self._workers:
            self._tell(worker, b"go %d" % start_ns)
        return start_ns

    def stop(self) -> None:
        """Asks for an early end; what has ended is on disk."""
        for worker in self._workers:
            self._tell(worker, b"stop")

    def _tell(self, worker: subprocess.Popen[bytes], line: bytes) -> None:
        assert worker.stdin is not None
        try:
            worker.stdin.write(line + b"\n")
        except (BrokenPipeError, ValueError):
            return  # its end will be read as an empty line

    def _died(self, number: int, line: bytes) -> LlmopsError:
        if line.startswith(b"failed "):
            code, text = msgspec.json.decode(line[7:], type=DiskFailure)
            error = OSError(code, text)
            return cannot_write(self._log_path.parent, error)
        code = self._workers[number].wait()
        log = self._log_path.read_text(encoding="utf-8", errors="replace")
        lines = log.strip().splitlines()
        last = " ".join(lines[-1:])
        return EngineFailed(
            f"a load worker ended (exit code {code})", hint=f"see {self._log_path} {last}"
        )


class _RunningLevel:
    """What the workers have said of one level."""

    def __init__(self, *, wanted: int, on_tick: Callable[[Tick], None]) -> None:
        self._wanted = wanted
        self._on_tick = on_tick
        self._ready = 0
        self.has_started = False
        self.done: dict[int, LevelDone] = {}

    def take(self, number: int, line: bytes) -> bool:
        """False for a line that no worker says in health, such as its end."""
        if line == b"ready":
            self._ready += 1
        elif line.startswith(b"tick "):
            tick = msgspec.json.decode(line[5:], type=Tick)
            self._on_tick(tick)
        elif line.startswith(b"done "):
            done = msgspec.json.decode(line[5:], type=LevelDone)
            self.done[number] = done
        else:
            return False
        return True

    @property
    def may_start(self) -> bool:
        return not self.has_started and self._ready == self._wanted

    @property
    def is_done(self) -> bool:
        return len(self.done) >= self._wanted


def _settle(lines: _Lines, level: _RunningLevel) -> None:
    """Takes what the workers say at their end, for a while."""
    give_up = time.monotonic() + STOP_PATIENCE_S
    while not level.is_done and time.monotonic() < give_up:
        for number, line in lines.read(0.1):
            if not line:
                return
            level.take(number, line)


class _Lines:
    """Lines from several pipes as they come; an empty one means that the pipe has ended."""

    def __init__(self, pipes: list[tuple[IO[bytes], int]]) -> None:
        self._selector = selectors.DefaultSelector()
        self._rest = {number: b"" for _, number in pipes}
        for pipe, number in pipes:
            self._selector.register(pipe, selectors.EVENT_READ, number)

    def read(self, timeout_s: float) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        for key, _ in self._selector.select(timeout_s):
            number = key.data
            piece = os.read(key.fd, 1 << 16)
            if not piece:
                self._selector.unregister(key.fileobj)
                found.append((number, b""))
                continue
            known = self._rest[number] + piece
            *lines, rest = known.split(b"\n")
            self._rest[number] = rest
            found += [(number, line) for line in lines]
        return found

    def close(self) -> None:
        self._selector.close()
