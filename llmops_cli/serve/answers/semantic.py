"""Which earlier question means the same: vectors of one partition, compared by cosine."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LOG = logging.getLogger("llmops.gateway")


class Meanings:
    """In a file beside the cache's. Vectors of other partitions are never looked at."""

    def __init__(self, folder: Path) -> None:
        path = folder / "meanings.db"
        if not path.exists():
            path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=2, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=off")
        self._db.execute(
            "create table if not exists meanings (partition text not null, name text not null, at real not null,"
            " vector blob not null, primary key (partition, name))"
        )

    def nearest(self, partition: str, vector_D: NDArray[np.float32]) -> tuple[str, float] | None:
        """(the entry's name, the cosine) of the most alike question.

        Shapes: vector_D (numbers of the embedding), of length 1.
        """
        rows = self._db.execute(
            "select name, vector from meanings where partition = ?", (partition,)
        ).fetchall()
        rows = [
            row for row in rows if len(row[1]) == vector_D.nbytes
        ]  # of another model: never the same
        if not rows:
            return None
        scores = (
            np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(len(rows), -1)
            @ vector_D
        )
        best = int(scores.argmax())
        return str(rows[best][0]), float(scores[best])

    def remember(
        self, partition: str, name: str, vector_D: NDArray[np.float32], *, most: int
    ) -> None:
        """Beyond `most` of a partition the oldest go."""
        try:
            self._db.execute(
                "insert or replace into meanings values (?, ?, ?, ?)",
                (partition, name, time.time(), vector_D.tobytes()),
            )
            self._db.execute(
                "delete from meanings where partition = :p and at < (select at from meanings where partition = :p"
                " order by at desc limit 1 offset :most)",
                {"p": partition, "most": most - 1},
            )
        except sqlite3.Error as error:
            LOG.warning("the cache cannot be written: %s", error)


def unit(values: list[float]) -> NDArray[np.float32]:
    """The vector with length 1."""
    vector = np.asarray(values, np.float32)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
