"""One run at a time in a folder: two would remove one another's checkpoints."""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from _shared.protocol import JobError

NAME = ".run.lock"
PATIENCE_S = 8.0
"""The ranks of a run that was killed a moment ago may still be ending."""
EVERY_S = 0.1


def claim(folder: Path, *, patience_s: float = PATIENCE_S) -> IO[str]:
    """The lock, held until it is closed or this process ends, however it ends.

    Raises: JobError naming the process that has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    file = path.open("a+")
    deadline = time.monotonic() + patience_s
    while not _is_ours(file):
        if time.monotonic() > deadline:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            message = f"{folder} is in use by {owner}"
            raise JobError("UsageError", message, "wait for it, end it, or choose another -o")
        time.sleep(EVERY_S)
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
    file.flush()
    return file


def _is_ours(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
