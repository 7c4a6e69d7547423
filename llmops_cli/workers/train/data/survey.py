"""What training would lose or never learn, counted before it begins."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import NamedTuple

from train.data.corpus import Corpus
from train.data.counts import Counts, counts_of
from train.data.order import Place

FULL_BYTES = 32 << 20
"""Up to here every sample is counted, and its tokens are kept."""
SAMPLED_ROWS = 2000
SAMPLED_BYTES = 8 << 20
TOGETHER = 256


class Survey(NamedTuple):
    """One data set's counts; projected from `looked_at` rows where those are not all."""

    counts: Counts
    size: int
    looked_at: int

    @property
    def is_exact(self) -> bool:
        return self.looked_at == self.size

    def seen(self, count: int) -> int:
        """How many of the rows that were looked at a projected count comes from."""
        return round(count * self.looked_at / self.size)


def is_small(corpus: Corpus) -> bool:
    """Whether it is worth while to tokenize all of it before the first step."""
    sizes_bytes = [corpus.size_bytes(number) for number in range(len(corpus.sizes))]
    return sum(sizes_bytes) <= FULL_BYTES


def exact_survey(counts: Counts) -> Survey:
    return Survey(counts, counts.samples, counts.samples)


def sampled_survey(corpus: Corpus, number: int) -> Survey:
    """Of data set `number`, by rows evenly spaced in it."""
    size = corpus.sizes[number]
    row_bytes = max(1, corpus.size_bytes(number) // size)
    looked_at = min(size, SAMPLED_ROWS, max(1, SAMPLED_BYTES // row_bytes))
    counts = Counts()
    places = [Place(number, index * size // looked_at) for index in range(looked_at)]
    for some in _batches(places):
        counts += counts_of(corpus.fetch(some))
    return Survey(_projected(counts, size / looked_at), size, looked_at)


def _projected(counts: Counts, factor: float) -> Counts:
    """Of all samples, by those that were looked at."""
    named = {field.name: getattr(counts, field.name) for field in fields(counts)}
    return Counts(**{name: round(count * factor) for name, count in named.items()})


def _batches(places: Sequence[Place]) -> Iterator[Sequence[Place]]:
    for begin in range(0, len(places), TOGETHER):
        yield places[begin : begin + TOGETHER]
