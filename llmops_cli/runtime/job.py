"""Runs a JobSpec: input.json in, events.jsonl while it runs, output.json out.

Under a launcher the job is several processes, ranks: the first one writes events and output, and
each one that fails its own error-RANK.json.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import EXIT_CODES, EngineFailed, Interrupted, LlmopsError, Terminated
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Memory
from llmops_cli.core.spec import JobSpec
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.process import Supervised, describe_log

POLL_EVERY_S = 0.1
WAIT_POLICY = "OMP_WAIT_POLICY"
RANK_ERRORS = "error-*.json"

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

    def came_before(self, other: RankError) -> bool:
        if self.at_s == other.at_s:
            return self.rank < other.rank
        return self.at_s < other.at_s


def run_job(
    spec: JobSpec,
    *,
    folder: Path,
    progress: Progress,
) -> JobResult:
    """Runs the worker to its end; `progress` hears of each stage as it comes.

    What lies in `folder` stays, so that a worker can resume; only the messages of the last run go.
    Raises: the error the worker named, or EngineFailed with its last log lines. Ctrl-C ends the
    worker too, in whose words it is told if it saved what it had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_messages(folder)
    job_input = msgspec.json.encode(spec.input)
    write_atomic(folder / "input.json", job_input)
    start = time.monotonic()
    log_path = folder / f"{spec.name}.log"
    argv = argv_of(spec, folder)
    env = {**_patient_threads(), **spec.env}
    process = Supervised(argv, env=env, log_path=log_path, grace_s=spec.grace_s)
    events = _EventTail(folder / "events.jsonl", progress)
    try:
        while (code := process.wait(POLL_EVERY_S)) is None:
            events.read()
        events.read()
    except KeyboardInterrupt as wish:
        progress.say("ending; Ctrl-C again ends at once")
        process.stop(_signal_of(wish, spec))
        raise _farewell(folder) from None
    finally:
        memory = process.stop()
    output_path = folder / "output.json"
    is_missing = spec.has_first_rank and not output_path.exists()
    if code != 0 or is_missing:
        raise _failure(spec, folder, process, code)
    output: Json = {}
    if spec.has_first_rank:
        output = msgspec.json.decode(output_path.read_bytes())
    wall_s = time.monotonic() - start
    return JobResult(
        output=output,
        memory=memory,
        wall_s=wall_s,
    )


def _patient_threads() -> dict[str, str]:
    """OpenMP's threads sleep while they wait for one another, unless the user says otherwise.

    Those that spin wait for a thread whose core somebody else has: two threads of a small model on
    two busy cores trained 30 times slower.
    """
    if WAIT_POLICY in os.environ:
        return {}
    return {WAIT_POLICY: "PASSIVE"}


def argv_of(spec: JobSpec, folder: Path) -> list[str]:
    """The command line of a job whose files lie in `folder`."""
    argv = [spec.python, *spec.launcher, "{workers}", spec.program, str(folder)]
    if spec.launcher:
        argv.append("--ranks")
    return argv


def _remove_messages(folder: Path) -> None:
    messages = [
        folder / "events.jsonl",
        folder / "output.json",
        *folder.glob(RANK_ERRORS),
    ]
    for stale in messages:
        stale.unlink(missing_ok=True)


def _failure(
    spec: JobSpec,
    folder: Path,
    process: Supervised,
    code: int,
) -> LlmopsError:
    """The error that came first: the other ranks, and the launcher, only fail of it."""
    first = _first_error(folder)
    ending = f"job '{spec.name}' ended ({process.ending(code)})"
    log = describe_log(process)
    if first is None:
        return EngineFailed(ending, hint=log)
    if first.kind is None:
        who = f"rank {first.rank}: " if spec.launcher else ""
        return EngineFailed(f"{ending}: {who}{first.message}", hint=log)
    kind = EXIT_CODES.get(first.kind, EngineFailed)
    return kind(first.message, hint=first.hint)


def _signal_of(wish: KeyboardInterrupt, spec: JobSpec) -> signal.Signals:
    """The one that the command got, if the job hears both."""
    if spec.hears_interrupt and not isinstance(wish, Terminated):
        return signal.SIGINT
    return signal.SIGTERM


def _farewell(folder: Path) -> BaseException:
    """What a worker that was asked to end says of what it saved."""
    error = _first_error(folder)
    if error is not None and error.kind == Interrupted.__name__:
        return Interrupted(error.message, hint=error.hint)
    return KeyboardInterrupt()


def _first_error(folder: Path) -> RankError | None:
    first: RankError | None = None
    for path in folder.glob(RANK_ERRORS):
        error = msgspec.json.decode(path.read_bytes(), type=RankError)
        if first is None or error.came_before(first):
            first = error
    return first


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
        end = block.rfind(b"\n") + 1
        self._offset += end
        for line in block[:end].splitlines():
            event = msgspec.json.decode(line)
            if "notice" in event:
                self._progress.warn(event["notice"])
                continue
            note = event.get("note", "")
            self._progress.update(event["stage"], event["done"], event["total"], note)
