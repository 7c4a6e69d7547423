"""The audit log: a JSON line for each request, in a file that is turned over by size. Never keys, and no bodies."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

TURN_BYTES = 100 << 20
KEPT = 5


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request. `key` is the key's id; times are milliseconds."""

    at: str
    request: str
    route: str
    status: int
    key: str = ""
    model: str = ""
    stream: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    first_ms: float = 0.0
    total_ms: float = 0.0
    guard: str = ""
    error: str = ""


class AuditLog:
    """Appends; a full disk costs the line and is counted, never the request."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._file, self._size = path, -1, 0
        self.lost = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._open()

    def _open(self) -> None:
        assert self._path is not None
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, entry: Entry) -> None:
        if self._path is None:
            return
        line = msgspec.json.encode(entry) + b"\n"
        try:
            if self._size + len(line) > TURN_BYTES:
                self._turn()
            self._size += os.write(self._file, line)
        except OSError:
            self.lost += 1

    def _turn(self) -> None:
        assert self._path is not None
        os.close(self._file)
        for number in range(KEPT - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.replace(self._path.with_name(f"{self._path.name}.{number + 1}"))
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._open()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)


def now() -> str:
    moment = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}Z"
