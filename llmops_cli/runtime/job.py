"""Runs a JobSpec: input.json in, events.jsonl while it runs, output.json out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import EXIT_CODES, EngineFailed
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Memory
from llmops_cli.core.spec import JobSpec
from llmops_cli.runtime.process import Supervised, describe_exit
from llmops_cli.runtime.store import write_atomic

POLL_EVERY_S = 0.1

# A worker's events and output are free-form JSON; each caller knows the shape of its own worker's.
Json = dict[str, Any]


class JobResult(msgspec.Struct, frozen=True, kw_only=True):
    """`output` is what the worker wrote; `memory` its process tree's peaks; `wall_s` from start to
    end.
    """

    output: Json
    memory: Memory
    wall_s: float


def run_job(spec: JobSpec, *, folder: Path, progress: Progress) -> JobResult:
    """Runs the worker to its end; `progress` hears of each stage as it comes.

    Raises: the error the worker named, or EngineFailed with its last log lines. Ctrl-C ends the
    worker too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("events.jsonl", "output.json"):
        (folder / stale).unlink(missing_ok=True)
    write_atomic(folder / "input.json", msgspec.json.encode(spec.input))
    start = time.monotonic()
    process = Supervised(
        [spec.python, "{workers}", spec.program, str(folder)],
        env=spec.env,
        log_path=folder / f"{spec.name}.log",
    )
    events = _EventTail(folder / "events.jsonl", progress)
    try:
        while (code := process.wait(POLL_EVERY_S)) is None:
            events.read()
        events.read()
    finally:
        memory = process.stop()
    output = _read_output(spec, folder / "output.json", process, code)
    return JobResult(output=output, memory=memory, wall_s=time.monotonic() - start)


def _read_output(spec: JobSpec, path: Path, process: Supervised, code: int) -> Json:
    output: Json = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    error = output.get("error")
    if error:
        kind = EXIT_CODES.get(error["kind"], EngineFailed)
        raise kind(error["message"], hint=error.get("hint"))
    if code != 0 or not path.exists():
        tail = process.log_tail()
        raise EngineFailed(
            f"job '{spec.name}' ended ({describe_exit(code)})",
            hint=f"its log is {process.log_path}" + (f"; it ends:\n{tail}" if tail else " (empty)"),
        )
    return output


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
