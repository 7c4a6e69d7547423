"""What training would lose or never learn, counted before it begins."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from train.data.corpus import Corpus
from train.data.counts import Counts, counts_of
from train.data.order import Place

FULL_BYTES = 64 << 20
"""Up to here every sample is counted."""
SAMPLED_ROWS = 2000
SAMPLED_BYTES = 8 << 20
TOGETHER = 256


class Survey(NamedTuple):
    """One data set's counts; of a sample of `looked_at` rows where they are not `exact`."""

    counts: Counts
    size: int
    looked_at: int

    @property
    def is_exact(self) -> bool:
        return self.looked_at == self.size

    def scaled(self, count: int) -> int:
        """Of all samples, by those that were looked at."""
        return round(count * self.size / max(1, self.looked_at))


def survey(corpus: Corpus, number: int) -> Survey:
    """Of data set `number`."""
    size = corpus.sizes[number]
    looked_at = _how_many(size, corpus.size_bytes(number))
    counts = Counts()
    places = [Place(number, index * size // looked_at) for index in range(looked_at)]
    for some in _batches(places):
        counts += counts_of(corpus.fetch(some))
    return Survey(counts, size, looked_at)


def _how_many(size: int, size_bytes: int) -> int:
    if size_bytes <= FULL_BYTES:
        return size
    row_bytes = max(1, size_bytes // max(1, size))
    return min(size, SAMPLED_ROWS, max(1, SAMPLED_BYTES // row_bytes))


def _batches(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    for begin in range(0, len(places), TOGETHER):
        yield places[begin : begin + TOGETHER]
