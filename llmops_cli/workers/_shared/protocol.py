"""The job side of input.json, events.jsonl and output.json. Standard library only."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class JobError(Exception):
    """A failure with a known cause; `kind` is the name of an error class of the toolkit."""

    def __init__(self, kind: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint


class Events:
    """Appends progress lines, at most ten a second for each stage."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._last: dict[str, float] = {}

    def progress(self, stage: str, done: float, total: float, **more: Any) -> None:
        now = time.monotonic()
        if done < total and now - self._last.get(stage, 0.0) < 0.1:
            return
        self._last[stage] = now
        self.emit(stage=stage, done=done, total=total, **more)

    def emit(self, **event: Any) -> None:
        self._file.write(json.dumps(event) + "\n")


def run_worker(work: Callable[[dict[str, Any], Events], dict[str, Any]]) -> None:
    """Calls `work` with the input and writes what it returns; a JobError becomes the toolkit's
    error.
    """
    folder = Path(sys.argv[1])
    job_input = json.loads((folder / "input.json").read_text())
    try:
        output = work(job_input, Events(folder / "events.jsonl"))
        code = 0
    except JobError as error:
        output = {"error": {"kind": error.kind, "message": error.message, "hint": error.hint}}
        code = 1
    except OSError as error:
        if error.errno != 28:  # ENOSPC
            raise
        output = {
            "error": {
                "kind": "EnvironmentMissing",
                "message": f"no space left on the device{f' writing {error.filename}' if error.filename else ''}",
                "hint": "free some space, or choose another -o",
            }
        }
        code = 1
    temporary = folder / "output.json.tmp"
    temporary.write_text(json.dumps(output))
    temporary.replace(folder / "output.json")
    sys.exit(code)


def peak_rss_bytes() -> int:
    """This program's high-water mark. Linux's ru_maxrss would begin with that of the process that
    started it.
    """
    import resource

    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
