"""What the original model says of a held-out text, computed by another Python while we read.

Nothing is kept on disk, and the pipe holds the other back until we have read.
Shapes: N scored positions, V vocabulary.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import numpy as np

from _shared.arrays import Floats
from _shared.pieces import Piece
from _shared.protocol import JobError, Json

WORKERS = Path(__file__).parents[1]
PROGRAM = "hf.rows"
ERROR = "error-0.json"


@dataclass(frozen=True)
class OriginalPiece:
    """A piece of the text, and logits_NV after each of its scored positions."""

    piece: Piece
    logits_NV: Floats


class OriginalRows:
    """Starts the other program; iterating gives its pieces."""

    def __init__(self, job: Json) -> None:
        self._scratch = TemporaryDirectory(prefix="llmops-original-")
        self._folder = Path(self._scratch.name)
        reading, writing = os.pipe()
        job_input = {**job, "pipe": writing}
        (self._folder / "input.json").write_text(json.dumps(job_input))
        python = job["original_python"]
        argv = [python, str(WORKERS), PROGRAM, str(self._folder)]
        self._process = subprocess.Popen(argv, pass_fds=(writing,))
        os.close(writing)
        self._pipe: IO[bytes] = os.fdopen(reading, "rb")
        self.count = int(self._line()["pieces"])

    def __iter__(self) -> Iterator[OriginalPiece]:
        for _ in range(self.count):
            facts = self._line()
            shape = (facts["rows"], facts["width"])
            raw = self._pipe.read(4 * shape[0] * shape[1])
            if len(raw) < 4 * shape[0] * shape[1]:
                raise self._failure()
            logits_NV = np.frombuffer(raw, np.float32).reshape(shape)
            piece = (facts["tokens"], facts["first"])
            yield OriginalPiece(piece=piece, logits_NV=logits_NV)
        self._pipe.close()
        self._process.wait()
        self._scratch.cleanup()

    def _line(self) -> Json:
        line = self._pipe.readline()
        if not line.endswith(b"\n"):
            raise self._failure()
        return dict(json.loads(line))

    def _failure(self) -> JobError:
        """What the other program told before it ended."""
        code = self._process.wait()
        told = self._folder / ERROR
        if not told.is_file():
            return JobError("EngineFailed", f"the original's program ended with {code}")
        error = json.loads(told.read_text())
        return JobError(error["kind"] or "EngineFailed", error["message"], error["hint"])
