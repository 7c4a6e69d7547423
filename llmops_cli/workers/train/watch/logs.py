"""Each rank's own log, of which the others show the end when it dies."""

import os
import sys
from pathlib import Path

TAIL_BYTES = 4096


def path_of(folder: Path, rank: int) -> Path:
    return folder / f"rank-{rank}.log"


def keep_log(folder: Path, rank: int) -> None:
    """What this process prints, libraries in C included, goes to its own file from now on."""
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with path_of(folder, rank).open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def last_lines(folder: Path, rank: int, count: int = 8) -> str:
    try:
        with path_of(folder, rank).open("rb") as log:
            size_bytes = os.fstat(log.fileno()).st_size
            log.seek(max(0, size_bytes - TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    written = [line for line in text.splitlines() if line.strip()]
    return "\n".join(written[-count:])
