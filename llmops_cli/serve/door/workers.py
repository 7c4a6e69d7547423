"""Processes that accept from one socket, looked after by the one that started them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from llmops_cli.core.errors import EngineFailed
from llmops_cli.runtime.endings import heard_endings
from llmops_cli.serve.spec import GatewaySpec
from llmops_cli.serve.versions import ConfigVersions
from llmops_cli.serve.watch.member_board import FILE as MEMBERS_FILE
from llmops_cli.serve.watch.metrics import SHARED

BEYOND_DRAIN_S = 5
"""Until a worker whose streams have ended, or were cut, has written down what it must."""
LOOK_S = 0.1
STABLE_S = 30.0
"""A worker that lived so long did not end because of how it began."""
FIRST_PAUSE_S = 0.25
PAUSE_MOST_S = 30.0
PROGRAM = "llmops_cli.serve.door.worker"


class Worker(NamedTuple):
    process: subprocess.Popen[bytes]
    started: float

    def lived_s(self) -> float:
        return time.monotonic() - self.started


class GatewayWorkers:
    """A worker that dies is replaced; the others do not notice."""

    def __init__(
        self,
        spec: GatewaySpec,
        versions: ConfigVersions,
        listener: socket.socket,
        count: int,
        say: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._versions = versions
        self._listener = listener
        self._count = count
        self._say = say
        self._metrics = tempfile.mkdtemp(prefix="llmops-metrics-")
        self._workers: dict[int, Worker] = {}
        self._stopping = False
        self._pause_s = 0.0

    def run(self) -> None:
        for number in heard_endings():
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGHUP, lambda *_: self._read_anew())
        try:
            for _ in range(self._count):
                self._start()
            while not self._stopping:
                time.sleep(LOOK_S)
                self._replace_dead()
            self._drain()
        finally:
            self._kill()
            shutil.rmtree(self._metrics, ignore_errors=True)

    def _start(self) -> None:
        """A worker that cannot read the file yet is not ended by the signal to do so."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        try:
            self._start_one()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _start_one(self) -> None:
        descriptors = (self._listener.fileno(), self._versions.descriptor)
        env = {**os.environ, SHARED: self._metrics}
        argv = [sys.executable, "-m", PROGRAM, *map(str, descriptors)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=descriptors, env=env)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(self._spec) + b"\n")
        process.stdin.flush()  # and it stays open: its end tells the worker that we are gone
        self._workers[process.pid] = Worker(process, time.monotonic())

    def _replace_dead(self) -> None:
        for pid, worker in list(self._workers.items()):
            code = worker.process.poll()
            if code is None or self._stopping:
                continue
            del self._workers[pid]
            self._forget_gauges(pid)
            self._settle_pause(worker.lived_s())
            self._say(f"worker {pid} ended ({code}); another one takes its place")
            time.sleep(self._pause_s)
            self._start()

    def _settle_pause(self, lived_s: float) -> None:
        """Before the next start. Raises: EngineFailed where there is no use in another one."""
        if lived_s > STABLE_S:
            self._pause_s = 0.0
        else:
            self._pause_s = min(PAUSE_MOST_S, self._pause_s * 2 or FIRST_PAUSE_S)
        if lived_s < 1 and not self._workers and self._pause_s > 1:
            raise EngineFailed(
                "the workers end as soon as they begin", hint="their errors stand above"
            )

    def _forget_gauges(self, pid: int) -> None:
        """A dead worker's gauges end, its counts stay.

        These files are prometheus_client's, one a kind and process, and one of members.
        """
        for left in Path(self._metrics).glob(f"gauge_live*_{pid}.db"):
            left.unlink(missing_ok=True)
        (Path(self._metrics) / MEMBERS_FILE.format(pid=pid)).unlink(missing_ok=True)

    def _tell(self, number: int) -> None:
        for worker in list(self._workers.values()):
            with suppress(OSError):
                worker.process.send_signal(number)

    def _read_anew(self) -> None:
        self._versions.want()
        self._tell(signal.SIGHUP)

    def _stop(self) -> None:
        self._stopping = True

    def _drain(self) -> None:
        self._tell(signal.SIGTERM)
        drain_s = self._spec.config.limits.drain_s
        until = time.monotonic() + drain_s + BEYOND_DRAIN_S
        for worker in self._workers.values():
            left_s = max(0.1, until - time.monotonic())
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(left_s)

    def _kill(self) -> None:
        for worker in self._workers.values():
            with suppress(OSError):
                worker.process.kill()
            worker.process.wait()
