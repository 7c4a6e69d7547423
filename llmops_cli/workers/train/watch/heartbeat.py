"""What each rank does, and that it lives: one small file a rank, which the others read.

The main thread writes step and phase, a thread touches the file each second. So a process that
stands still as a whole is told from one that waits.
"""

import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import NamedTuple

BEAT_EVERY_S = 1.0
WIDTH = 192
"""Bytes of the record, which is written in place."""


class Beat(NamedTuple):
    """A rank as its file tells it. beat_s and since_s are seconds ago; `ended`: it said goodbye."""

    rank: int
    process: int
    host: str
    step: int
    phase: str
    beat_s: float
    since_s: float
    ended: bool

    def doing(self) -> str:
        return f"{self.phase} of step {self.step}"


class Heartbeat:
    """This rank's file."""

    def __init__(self, folder: Path, rank: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._rank = rank
        self._host = socket.gethostname()
        self._file = os.open(path_of(folder, rank), os.O_RDWR | os.O_CREAT, 0o644)
        self._ends = threading.Event()
        self.phase(0, "start")
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def phase(self, step: int, name: str, *, ended: bool = False) -> None:
        record = {
            "rank": self._rank,
            "process": os.getpid(),
            "host": self._host,
            "step": step,
            "phase": name,
            "since": time.time(),
            "ended": ended,
        }
        os.pwrite(self._file, json.dumps(record).ljust(WIDTH).encode(), 0)

    def end(self, step: int) -> None:
        self._ends.set()
        self.phase(step, "end", ended=True)

    def _beat(self) -> None:
        while not self._ends.wait(BEAT_EVERY_S):
            os.utime(self._file)


def path_of(folder: Path, rank: int) -> Path:
    return folder / f"rank-{rank}.heartbeat"


def read_beats(folder: Path, ranks: int) -> list[Beat]:
    """Of those that have begun."""
    beats = []
    for rank in range(ranks):
        beat = _read(path_of(folder, rank))
        if beat is not None:
            beats.append(beat)
    return beats


def _read(path: Path) -> Beat | None:
    now_s = time.time()
    try:
        record = json.loads(path.read_bytes())
        touched_s = path.stat().st_mtime
    except (OSError, ValueError):  # not begun, or read while it is written
        return None
    return Beat(
        rank=record["rank"],
        process=record["process"],
        host=record["host"],
        step=record["step"],
        phase=record["phase"],
        beat_s=now_s - touched_s,
        since_s=now_s - record["since"],
        ended=record["ended"],
    )
