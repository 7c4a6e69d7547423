"""Which earlier question means the same: vectors of one partition, compared by cosine."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmops_cli.serve.answers.facts import is_another_wording

LOG = logging.getLogger("llmops.gateway")
Vector = NDArray[np.float32]
SCHEMA = """
create table if not exists questions (
  partition text not null, name text not null, at real not null, vector blob not null,
  words blob not null, primary key (partition, name)
);
drop table if exists meanings;
"""
FORGET = """
delete from questions where partition = :partition and at < (
  select at from questions where partition = :partition order by at desc limit 1 offset :most
)
"""
WORD_BYTES = 8
COMPARED_MOST = 16
"""Questions whose words are compared, the most alike first."""


class Near(NamedTuple):
    """The most alike question that may mean the same: its entry's name."""

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
        self._db.executescript(SCHEMA)

    def nearest(
        self,
        partition: str,
        vector_D: Vector,
        words: Sequence[bytes],
        *,
        threshold: float,
    ) -> Near | None:
        """At least `threshold` alike. Shapes: vector_D (numbers of the embedding), of length 1."""
        rows = self._db.execute(
            "select name, vector, words from questions where partition = ?", (partition,)
        ).fetchall()
        alike = [row for row in rows if len(row[1]) == vector_D.nbytes]  # others: another model's
        if not alike:
            return None
        joined = b"".join(row[1] for row in alike)
        vectors_ND = np.frombuffer(joined, np.float32).reshape(len(alike), -1)
        cosines_N = vectors_ND @ vector_D
        for place in np.argsort(-cosines_N)[:COMPARED_MOST]:
            cosine = float(cosines_N[place])
            if cosine < threshold:
                return None
            name, _, theirs = alike[int(place)]
            if is_another_wording(words, _split(theirs)):
                return Near(str(name), cosine)
        return None

    def remember(
        self,
        partition: str,
        name: str,
        vector_D: Vector,
        words: Sequence[bytes],
        *,
        most: int,
    ) -> None:
        """Beyond `most` of a partition the oldest go."""
        row = (partition, name, time.time(), vector_D.tobytes(), b"".join(words))
        try:
            self._db.execute("insert or replace into questions values (?, ?, ?, ?, ?)", row)
            self._db.execute(FORGET, {"partition": partition, "most": most - 1})
        except sqlite3.Error as error:
            LOG.warning("the cache cannot be written: %s", error)


def _split(words: bytes) -> list[bytes]:
    return [words[start : start + WORD_BYTES] for start in range(0, len(words), WORD_BYTES)]


def unit(values: list[float]) -> Vector:
    """The vector with length 1."""
    vector = np.asarray(values, np.float32)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
