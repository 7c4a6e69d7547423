"""Which earlier question means the same: vectors of one partition, compared by cosine."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LOG = logging.getLogger("llmops.gateway")
Vector = NDArray[np.float32]
SCHEMA = """
create table if not exists meanings (
  partition text not null, name text not null, at real not null, vector blob not null,
  primary key (partition, name)
)
"""
FORGET = """
delete from meanings where partition = :partition and at < (
  select at from meanings where partition = :partition order by at desc limit 1 offset :most
)
"""


class Near(NamedTuple):
    """The most alike question: its entry's name."""

    name: str
    cosine: float


class Meanings:
    """In a file beside the cache's. Vectors of other partitions are never looked at."""

    def __init__(self, folder: Path) -> None:
        path = folder / "meanings.db"
        if not path.exists():
            path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=2, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=off")
        self._db.execute(SCHEMA)

    def nearest(self, partition: str, vector_D: Vector) -> Near | None:
        """Shapes: vector_D (numbers of the embedding), of length 1."""
        rows = self._db.execute(
            "select name, vector from meanings where partition = ?", (partition,)
        ).fetchall()
        alike = [row for row in rows if len(row[1]) == vector_D.nbytes]  # others: another model's
        if not alike:
            return None
        joined = b"".join(row[1] for row in alike)
        vectors_ND = np.frombuffer(joined, np.float32).reshape(len(alike), -1)
        cosines_N = vectors_ND @ vector_D
        best = int(cosines_N.argmax())
        return Near(str(alike[best][0]), float(cosines_N[best]))

    def remember(
        self,
        partition: str,
        name: str,
        vector_D: Vector,
        *,
        most: int,
    ) -> None:
        """Beyond `most` of a partition the oldest go."""
        row = (partition, name, time.time(), vector_D.tobytes())
        try:
            self._db.execute("insert or replace into meanings values (?, ?, ?, ?)", row)
            self._db.execute(FORGET, {"partition": partition, "most": most - 1})
        except sqlite3.Error as error:
            LOG.warning("the cache cannot be written: %s", error)


def unit(values: list[float]) -> Vector:
    """The vector with length 1."""
    vector = np.asarray(values, np.float32)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
