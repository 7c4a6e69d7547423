"""Which earlier question means the same: vectors of one partition, compared by cosine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmops_cli.serve.answers.cache_file import MEANINGS, MEANINGS_SCHEMA, VERSION, CacheFile
from llmops_cli.serve.answers.facts import is_another_wording

Vector = NDArray[np.float32]
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
        """Raises: EnvironmentMissing if nothing can be kept there."""
        self._file = CacheFile(folder / MEANINGS, MEANINGS_SCHEMA, version=VERSION)

    def nearest(
        self,
        partition: str,
        vector_D: Vector,
        words: Sequence[bytes],
        *,
        threshold: float,
    ) -> Near | None:
        """At least `threshold` alike. Shapes: vector_D (numbers of the embedding), of length 1."""
        rows = self._file.rows(
            "select name, vector, words from questions where partition = ?", (partition,)
        )
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
        self._file.run("insert or replace into questions values (?, ?, ?, ?, ?)", row)
        self._file.run(FORGET, {"partition": partition, "most": most - 1})


def _split(words: bytes) -> list[bytes]:
    return [words[start : start + WORD_BYTES] for start in range(0, len(words), WORD_BYTES)]


def unit(values: list[float]) -> Vector:
    """The vector with length 1."""
    vector = np.asarray(values, np.float32)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
