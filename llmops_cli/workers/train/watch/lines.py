"""A file of one JSON line a step, cut back to a checkpoint when a run goes on from there."""

import json
import os
from pathlib import Path

from _shared.protocol import Json


class StepLines:
    """Lines are whole or absent, also after kill -9: each is one write."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("ab", buffering=0)

    def add(self, line: Json) -> None:
        text = json.dumps(line, separators=(",", ":"))
        self._file.write(text.encode() + b"\n")

    def sync(self) -> None:
        """On disk; a checkpoint must not know of steps that its lines do not."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def cut_back(self, step: int) -> None:
        self._file.close()
        cut_back(self._path, step)
        self._file = self._path.open("ab", buffering=0)


def cut_back(path: Path, step: int) -> None:
    """Leaves the lines of steps up to `step`; what broke off in a write goes too."""
    if not path.exists():
        return
    temporary = path.with_name(f"{path.name}.tmp")
    with path.open("rb") as lines, temporary.open("wb") as kept:
        for line in lines:
            if line.endswith(b"\n") and json.loads(line)["step"] <= step:
                kept.write(line)
        kept.flush()
        os.fsync(kept.fileno())
    temporary.replace(path)
