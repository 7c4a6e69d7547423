"""Starts a ServerSpec, waits until it answers, and stops it for sure."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Memory
from llmops_cli.core.spec import Cause, ServerSpec
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.process import Supervised, describe_log

HOST = "127.0.0.1"
MODELS_PATH = "/v1/models"
LOOK_EVERY_S = 0.05
SAY_EVERY_S = 1.0
CHECK_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 10.0


class ReadyTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the start of its process. `loading_s`: until it began to read its model."""

    loading_s: float | None
    ready_s: float


Explain = Callable[[str], Cause | None]
"""The end of a log -> what it means, if somebody knows."""


class ReadyServer:
    """A server that has answered its ready check."""

    def __init__(
        self,
        spec: ServerSpec,
        process: Supervised | None,
        explain: Explain | None,
        *,
        times: ReadyTimes | None = None,
    ) -> None:
        """`times`: None for a server that we did not start."""
        self.spec = spec
        self.times = times
        self._process = process
        self._explain = explain

    @property
    def url(self) -> str:
        return self.spec.url

    @property
    def pid(self) -> int | None:
        """The guard's pid, above the engine's processes.

        None for a server that we did not start.
        """
        if self._process is None:
            return None
        return self._process.pid

    def check_alive(self) -> None:
        """Raises EngineFailed with the last log lines if the engine has ended."""
        if self._process is None:
            return
        code = self._process.exit_code()
        if code is not None:
            raise _died(self.spec, self._process, code, self._explain)

    def memory(self) -> Memory:
        """Peaks after the server was stopped; nothing for one that we did not start."""
        if self._process is None:
            return Memory()
        return self._process.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    spec: ServerSpec,
    *,
    log_path: Path,
    progress: Progress,
    explain: Explain | None = None,
    http: Http | None = None,
    loads_at: str | None = None,
) -> Iterator[ReadyServer]:
    """The server, ready; stopped when the block ends, however it ends.

    `http` reaches a server that runs already; `explain` knows the engine's log lines, `loads_at` is
    in the one that says that it reads its model now.
    Raises: EngineFailed if it dies or misses its deadline, with its last log lines;
    EnvironmentMissing if nothing answers at the address of one that should run.
    """
    if not spec.argv:
        _require_answer(spec, http or Http())
        yield ReadyServer(spec, None, None)
        return
    process = Supervised(spec.argv, env=spec.env, log_path=log_path)
    try:
        times = _wait_ready(spec, process, progress, explain, loads_at=loads_at)
        yield ReadyServer(spec, process, explain, times=times)
    finally:
        process.stop()


def _wait_ready(
    spec: ServerSpec,
    process: Supervised,
    progress: Progress,
    explain: Explain | None,
    *,
    loads_at: str | None,
) -> ReadyTimes:
    start = time.monotonic()
    said_s = 0.0
    loading_s: float | None = None
    http = Http()
    while not _lists_model(http, spec):
        code = process.exit_code()
        if code is not None:
            raise _died(spec, process, code, explain)
        waited_s = time.monotonic() - start
        if loads_at is not None and loading_s is None and process.has_said(loads_at):
            loading_s = waited_s
        if waited_s > spec.ready_timeout_s:
            raise EngineFailed(
                f"engine '{spec.engine}' did not list model '{spec.model}' "
                f"within {spec.ready_timeout_s:.0f} s",
                hint=f"see {process.log_path}\n{process.log_tail()}",
            )
        if waited_s - said_s >= SAY_EVERY_S:
            said_s = waited_s
            progress.update(f"starting {spec.engine}, seconds", round(waited_s))
        time.sleep(LOOK_EVERY_S)
    ready_s = time.monotonic() - start
    if loads_at is not None and loading_s is None and process.has_said(loads_at):
        loading_s = max(0.0, ready_s - LOOK_EVERY_S)  # it was read between two looks
    return ReadyTimes(loading_s=loading_s, ready_s=ready_s)


def _lists_model(http: Http, spec: ServerSpec) -> bool:
    """Ready is who lists the model: a health check can be green before the weights are loaded."""
    text = http.get_text(spec.url + MODELS_PATH, timeout_s=CHECK_TIMEOUT_S)
    try:
        listed = msgspec.json.decode(text or "")
        return any(entry["id"] == spec.model for entry in listed["data"])
    except (*UNREADABLE, KeyError, TypeError):
        return False


def _require_answer(spec: ServerSpec, http: Http) -> None:
    found = http.status(spec.url + MODELS_PATH, timeout_s=ANSWER_TIMEOUT_S)
    if isinstance(found, str):
        raise EnvironmentMissing(
            f"nothing answers at {spec.url}: {found}", hint="start the server, or check --url"
        )


def _died(
    spec: ServerSpec,
    process: Supervised,
    code: int,
    explain: Explain | None,
) -> EngineFailed:
    ending = process.ending(code)
    log = describe_log(process)
    message = f"engine '{spec.engine}' ended ({ending})"
    known = None
    if explain is not None:
        tail = process.log_tail()
        known = explain(f"{tail}\n{ending}")
    if known is None:
        return EngineFailed(message, hint=log)
    return EngineFailed(
        f"{message}: {known.cause}",
        hint=f"{known.hint}; {log}",
    )
