"""Starts a ServerSpec, waits until it answers, and stops it for sure."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing
from llmops_cli.core.report import Memory
from llmops_cli.core.spec import ServerSpec
from llmops_cli.runtime.diagnose import explain
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.process import Supervised, describe_exit

HOST = "127.0.0.1"
MODELS_PATH = "/v1/models"


class RunningServer:
    """A server that has answered its ready check."""

    def __init__(self, spec: ServerSpec, process: Supervised | None) -> None:
        self.spec = spec
        self._process = process

    @property
    def url(self) -> str:
        return self.spec.url

    @property
    def pid(self) -> int | None:
        """The guard's pid, above the engine's processes; None for a server that we did not
        start.
        """
        return None if self._process is None else self._process.pid

    def check_alive(self) -> None:
        """Raises EngineFailed with the last log lines if the engine has ended."""
        if self._process is not None and (code := self._process.exit_code()) is not None:
            raise _died(self.spec, self._process, code)

    def memory(self) -> Memory:
        """Peaks after the server was stopped; nothing for one that we did not start."""
        return Memory() if self._process is None else self._process.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    spec: ServerSpec,
    *,
    log_path: Path,
    on_wait: Callable[[float], None] | None = None,
    http: Http | None = None,
) -> Iterator[RunningServer]:
    """The server, ready; stopped when the block ends, however it ends.

    `on_wait` is called about once a second with the seconds waited so far. `http` reaches a server
    that runs already.
    Raises: EngineFailed if it dies or misses its deadline, with its last log lines.
    """
    if not spec.argv:
        _require_answer(spec, http or Http())
        yield RunningServer(spec, None)
        return
    process = Supervised(spec.argv, env=spec.env, log_path=log_path)
    try:
        _wait_ready(spec, process, on_wait)
        yield RunningServer(spec, process)
    finally:
        process.stop()


def _wait_ready(
    spec: ServerSpec, process: Supervised, on_wait: Callable[[float], None] | None
) -> None:
    start = time.monotonic()
    told_s = 0.0
    http = Http()
    while True:
        if _lists_model(http, spec):
            return
        if (code := process.exit_code()) is not None:
            raise _died(spec, process, code)
        waited_s = time.monotonic() - start
        if waited_s > spec.ready_timeout_s:
            raise EngineFailed(
                f"engine '{spec.engine}' did not list model '{spec.model}' within {spec.ready_timeout_s:.0f} s",
                hint=f"see {process.log_path}\n{process.log_tail()}",
            )
        if on_wait and waited_s - told_s >= 1:
            told_s = waited_s
            on_wait(waited_s)
        time.sleep(0.05)


def _lists_model(http: Http, spec: ServerSpec) -> bool:
    """Ready is who lists the model: a health check can be green before the weights are loaded."""
    text = http.get_text(spec.url + MODELS_PATH, timeout_s=2)
    try:
        entries = msgspec.json.decode(text or "")["data"]
        return any(entry["id"] == spec.model for entry in entries)
    except (msgspec.DecodeError, KeyError, TypeError):
        return False


def _require_answer(spec: ServerSpec, http: Http) -> None:
    found = http.status(spec.url + MODELS_PATH, timeout_s=10)
    if isinstance(found, str):
        raise EnvironmentMissing(
            f"nothing answers at {spec.url}: {found}", hint="start the server, or check --url"
        )


def _died(spec: ServerSpec, process: Supervised, code: int) -> EngineFailed:
    tail = process.log_tail()
    ending = describe_exit(code)
    known = explain(f"{tail}\n{ending}")
    log = f"its log is {process.log_path}" + (f"; it ends:\n{tail}" if tail else " (empty)")
    if known is None:
        return EngineFailed(f"engine '{spec.engine}' ended ({ending})", hint=log)
    cause, hint = known
    return EngineFailed(f"engine '{spec.engine}' ended ({ending}): {cause}", hint=f"{hint}; {log}")
