"""The job side of input.json, events.jsonl and output.json. Standard library only.

Usage: python workers PROGRAM FOLDER [--ranks]. With --ranks a launcher started several processes,
each with its number in RANK: the first one writes events and output, each one its own error.
"""

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

EMIT_EVERY_S = 0.1
PR_SET_PDEATHSIG = 1
FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
RUST_FULL_DISK = f"os error {errno.ENOSPC}"
"""Tokenizers and safetensors have no class for it, only these words in an exception."""
EXIT_CODES = {"Interrupted": 130}
"""Of a worker that others may have started, where a save and an end on a signal is no failure."""

# The input and the output of a job are free-form JSON; each worker knows the shape of its own.
Json = dict[str, Any]


class JobError(Exception):
    """A failure with a known cause; `kind` is the name of an error class of the toolkit."""

    def __init__(
        self,
        kind: str,
        message: str,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint


class Events:
    """Appends progress lines, at most ten a second for each stage; without a path to nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._file = None
        if path is not None:
            self._file = path.open("a", buffering=1)
        self._last: dict[str, float] = {}

    def progress(self, stage: str, done: float, total: float, **more: Any) -> None:
        now = time.monotonic()
        last = self._last.get(stage, 0.0)
        is_soon = now - last < EMIT_EVERY_S
        if done < total and is_soon:
            return
        self._last[stage] = now
        self.emit(stage=stage, done=done, total=total, **more)

    def emit(self, **event: Any) -> None:
        if self._file is not None:
            line = json.dumps(event)
            self._file.write(line + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def run_worker(work: Callable[[Json, Events], Json]) -> None:
    """Calls `work` with the input and writes what it returns, or the error that ended it."""
    folder = Path(sys.argv[1])
    rank = _rank(sys.argv[2:])
    raw = (folder / "input.json").read_text()
    job_input = json.loads(raw)
    events_path = None
    if rank == 0:
        events_path = folder / "events.jsonl"
    events = Events(events_path)
    try:
        output = work(job_input, events)
    except JobError as error:
        _write_error(folder, rank, error)
        sys.exit(EXIT_CODES.get(error.kind, 1))
    except Exception as error:
        known = _full_disk(error)
        _write_error(folder, rank, known or error)
        if known is not None:
            sys.exit(1)
        raise
    events.close()
    if rank == 0:
        _write_json(folder / "output.json", output)


def fail_now(error: JobError) -> NoReturn:
    """Ends this process at once with its error told, from a thread whose main thread waits."""
    _write_error(Path(sys.argv[1]), _rank(sys.argv[2:]), error)
    os._exit(EXIT_CODES.get(error.kind, 1))


def _rank(arguments: list[str]) -> int:
    """This process's number; 0 without --ranks, whatever RANK says (a pod may have set it)."""
    if "--ranks" not in arguments:
        return 0
    die_with_launcher()
    return int(os.environ["RANK"])


def die_with_launcher() -> None:
    """A launcher's processes may have sessions of their own, where no signal to its group comes.

    To be called first of all: who begins after its launcher's end would wait for other ranks.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def is_full_disk(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL_DISK
    return RUST_FULL_DISK in str(error)


def _full_disk(error: Exception) -> JobError | None:
    """The error of a full disk, which the user can mend."""
    if not is_full_disk(error):
        return None
    name = getattr(error, "filename", None)
    where = f" writing {name}" if name else ""
    return JobError(
        "EnvironmentMissing",
        f"no space left on the device{where}",
        "free some space, or choose another -o",
    )


def _write_error(
    folder: Path,
    rank: int,
    error: Exception,
) -> None:
    """error-RANK.json: what this rank failed of and when, as the others only fail of that."""
    wrong: Json = {
        "rank": rank,
        "at_s": time.time(),
        "kind": None,
        "message": f"{type(error).__name__}: {error}",
        "hint": None,
    }
    if isinstance(error, JobError):
        wrong["kind"] = error.kind
        wrong["message"] = error.message
        wrong["hint"] = error.hint
    _write_json(folder / f"error-{rank}.json", wrong)


def _write_json(path: Path, value: Json) -> None:
    """The file is whole or absent."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


def peak_rss_bytes() -> int:
    """This program's high-water mark.

    Linux's ru_maxrss would begin with that of the process that started it.
    """
    import resource

    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                _, kilobytes, *_ = line.split()
                return int(kilobytes) * 1024

    scale = 1 if sys.platform == "darwin" else 1024
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss * scale
