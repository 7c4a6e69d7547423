"""Runs a JobSpec: input.json in, events.jsonl while it runs, output.json out.

Under a launcher the job is several processes, ranks: the first one writes events and output, and
each one that fails its own error-RANK.json.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import EXIT_CODES, EngineFailed, LlmopsError
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Memory
from llmops_cli.core.spec import JobSpec
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.process import Supervised, describe_exit

POLL_EVERY_S = 0.1

# A worker's events and output are free-form JSON; each caller knows the shape of its own worker's.
Json = dict[str, Any]


class JobResult(msgspec.Struct, frozen=True, kw_only=True):
    """`output` is what the worker wrote; `memory` its process tree's peaks; `wall_s` its time."""

    output: Json
    memory: Memory
    wall_s: float


class RankError(msgspec.Struct, frozen=True, kw_only=True):
    """What one rank failed of; `kind` names an error class, or is None for an unexpected one."""

    rank: int
    at_s: float
    kind: str | None
    message: str
    hint: str | None


def run_job(spec: JobSpec, *, folder: Path, progress: Progress) -> JobResult:
    """Runs the worker to its end; `progress` hears of each stage as it comes.

    What lies in `folder` stays, so that a worker can resume; only the messages of the last run go.
    Raises: the error the worker named, or EngineFailed with its last log lines. Ctrl-C ends the
    worker too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_messages(folder)
    write_atomic(folder / "input.json", msgspec.json.encode(spec.input))
    start = time.monotonic()
    log_path = folder / f"{spec.name}.log"
    process = Supervised(argv_of(spec, folder), env=spec.env, log_path=log_path)
    events = _EventTail(folder / "events.jsonl", progress)
    try:
        while (code := process.wait(POLL_EVERY_S)) is None:
            events.read()
        events.read()
    finally:
        memory = process.stop()
    output_path = folder / "output.json"
    if code != 0 or not output_path.exists():
        raise _failure(spec, folder, process, code)
    output: Json = msgspec.json.decode(output_path.read_bytes())
    return JobResult(output=output, memory=memory, wall_s=time.monotonic() - start)


def argv_of(spec: JobSpec, folder: Path) -> list[str]:
    """The command line of a job whose files lie in `folder`."""
    argv = [spec.python, *spec.launcher, "{workers}", spec.program, str(folder)]
    if spec.launcher:
        argv.append("--ranks")
    return argv


def _remove_messages(folder: Path) -> None:
    for stale in (folder / "events.jsonl", folder / "output.json", *folder.glob("error-*.json")):
        stale.unlink(missing_ok=True)


def _failure(spec: JobSpec, folder: Path, process: Supervised, code: int) -> LlmopsError:
    """The error that came first: the other ranks, and the launcher, only fail of it."""
    errors = [
        msgspec.json.decode(path.read_bytes(), type=RankError)
        for path in folder.glob("error-*.json")
    ]
    first = min(errors, key=lambda error: (error.at_s, error.rank), default=None)
    ending = f"job '{spec.name}' ended ({describe_exit(code)})"
    tail = process.log_tail()
    log = f"its log is {process.log_path}"
    log += f"; it ends:\n{tail}" if tail else " (empty)"
    if first is None:
        return EngineFailed(ending, hint=log)
    if first.kind is None:
        who = f"rank {first.rank}: " if spec.launcher else ""
        return EngineFailed(f"{ending}: {who}{first.message}", hint=log)
    kind = EXIT_CODES.get(first.kind, EngineFailed)
    return kind(first.message, hint=first.hint)


class _EventTail:
    """Tells the complete lines that were appended since the last read."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path = path
        self._progress = progress
        self._offset = 0

    def read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            block = file.read()
        whole = block[: block.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            event = msgspec.json.decode(line)
            self._progress.update(event["stage"], event["done"], event["total"])
