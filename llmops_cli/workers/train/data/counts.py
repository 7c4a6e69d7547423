"""How much was trained, and what was not and why: sums over samples."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from _shared.protocol import Json
from train.data.sample import FULL_WEIGHT, TokenRow, TrainingSample, row_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """`tokens` are those that are predicted. `endless` samples do not end with a trained end."""

    samples: int = 0
    tokens: int = 0
    supervised_tokens: int = 0
    cut: int = 0
    cut_tokens: int = 0
    dropped: int = 0
    dropped_tokens: int = 0
    unsupervised: int = 0
    endless: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            samples=self.samples + other.samples,
            tokens=self.tokens + other.tokens,
            supervised_tokens=self.supervised_tokens + other.supervised_tokens,
            cut=self.cut + other.cut,
            cut_tokens=self.cut_tokens + other.cut_tokens,
            dropped=self.dropped + other.dropped,
            dropped_tokens=self.dropped_tokens + other.dropped_tokens,
            unsupervised=self.unsupervised + other.unsupervised,
            endless=self.endless + other.endless,
        )

    def json(self) -> Json:
        return asdict(self)


def counts_of(samples: Sequence[TrainingSample]) -> Counts:
    """Of whole samples. Those that teach nothing have no tokens to train."""
    rows = [row_of(sample) for sample in samples]
    return counts_in(rows)


def counts_in(rows: Sequence[TokenRow]) -> Counts:
    """Of what lies in rows: a sample where it begins, a token where it is."""
    begun: list[TrainingSample] = []
    tokens = 0
    supervised = 0
    for row in rows:
        begun += row.left_out
        for sample, begin, end in row.pieces:
            if begin == 0:
                begun.append(sample)
            tokens += end - begin
            weights_T = sample.weights_T[begin + 1 : end + 1]
            supervised += int(np.count_nonzero(weights_T >= FULL_WEIGHT))
    kept = [sample for sample in begun if not sample.dropped_tokens]
    unsupervised = sum(not sample.supervised for sample in kept)
    endless = [sample for sample in kept if not sample.ends and sample.supervised]
    return Counts(
        samples=len(begun),
        tokens=tokens,
        supervised_tokens=supervised,
        cut=sum(sample.cut_tokens > 0 for sample in kept),
        cut_tokens=sum(sample.cut_tokens for sample in kept),
        dropped=len(begun) - len(kept),
        dropped_tokens=sum(sample.dropped_tokens for sample in begun),
        unsupervised=unsupervised,
        endless=len(endless),
    )
