"""`llmops serve`: binds, then serves here, or starts worker processes and looks after them."""

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

import msgspec

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.accounts.redis_link import RedisLink
from llmops_cli.serve.gateway import DRAIN_S, GatewaySpec, check_bind, serve_here

STABLE_S = 30.0
PAUSE_MOST_S = 30.0


def bind(host: str, port: int) -> socket.socket:
    """Raises: EnvironmentMissing for a port in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise EnvironmentMissing(
            f"cannot listen at {host}:{port}: {error.strerror or error}",
            hint="choose another --port",
        ) from error
    return listener


def serve(
    launch: GatewaySpec, listener: socket.socket, *, workers: int, say: Callable[[str], None]
) -> None:
    """Serves until it is told to stop, then lets what is under way end. Raises: EngineFailed if it
    ends by itself.
    """
    if workers > 1:
        _Crew(launch, listener, workers, say).run()
    elif not serve_here(launch, listener):
        raise EngineFailed("the gateway did not start")


def check_start(launch: GatewaySpec, say: Callable[[str], None]) -> None:
    """What would end a worker as soon as it begins is said before. Raises: UsageError,
    EnvironmentMissing.
    """
    if launch.config.redis:
        RedisLink(launch.config.redis)
    if launch.config.traces:
        from llmops_cli.serve.watch.traces import Tracer

        Tracer(launch.config.traces).close()
    keys = len(KeyStore(Path(launch.folder)))
    check_bind(launch.host, keys, keys_required=launch.config.keys_required)
    if not keys and launch.config.keys_required:
        say("there is no key yet: llmops keys create --name N")


class _Crew:
    """Workers that accept from one socket. One that dies is replaced; the others do not notice."""

    def __init__(
        self, launch: GatewaySpec, listener: socket.socket, count: int, say: Callable[[str], None]
    ) -> None:
        self._launch = launch
        self._listener = listener
        self._count = count
        self._say = say
        self._metrics = tempfile.mkdtemp(prefix="llmops-metrics-")
        self._workers: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._stopping = False
        self._pause_s = 0.0

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
        try:
            for _ in range(self._count):
                self._start()
            while not self._stopping:
                time.sleep(0.1)
                self._replace_dead()
            self._drain()
        finally:
            for worker, _ in self._workers.values():
                with suppress(OSError):
                    worker.kill()
                worker.wait()
            shutil.rmtree(self._metrics, ignore_errors=True)

    def _start(self) -> None:
        fd = self._listener.fileno()
        env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": self._metrics}
        argv = [sys.executable, "-m", "llmops_cli.serve.door.worker", str(fd)]
        worker = subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=(fd,), env=env)
        assert worker.stdin is not None
        worker.stdin.write(msgspec.json.encode(self._launch) + b"\n")
        worker.stdin.flush()  # and it stays open: its end tells the worker that we are gone
        self._workers[worker.pid] = (worker, time.monotonic())

    def _replace_dead(self) -> None:
        for pid, (worker, began) in list(self._workers.items()):
            code = worker.poll()
            if code is None or self._stopping:
                continue
            del self._workers[pid]
            self._forget(pid)
            lived_s = time.monotonic() - began
            self._pause_s = (
                0.0 if lived_s > STABLE_S else min(PAUSE_MOST_S, self._pause_s * 2 or 0.25)
            )
            if lived_s < 1 and not self._workers and self._pause_s > 1:
                raise EngineFailed(
                    "the workers end as soon as they begin", hint="their errors stand above"
                )
            self._say(f"worker {pid} ended ({code}); another one takes its place")
            time.sleep(self._pause_s)
            self._start()

    def _forget(self, pid: int) -> None:
        """A dead worker's gauges end, its counts stay: these files are prometheus_client's, one a
        kind and process.
        """
        for left in Path(self._metrics).glob(f"gauge_live*_{pid}.db"):
            left.unlink(missing_ok=True)

    def _tell(self, number: int) -> None:
        for worker, _ in list(self._workers.values()):
            with suppress(OSError):
                worker.send_signal(number)

    def _stop(self) -> None:
        self._stopping = True

    def _drain(self) -> None:
        self._tell(signal.SIGTERM)
        until = time.monotonic() + DRAIN_S + 5
        for worker, _ in self._workers.values():
            with suppress(subprocess.TimeoutExpired):
                worker.wait(max(0.1, until - time.monotonic()))
