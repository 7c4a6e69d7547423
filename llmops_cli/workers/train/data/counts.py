"""How much was trained, and what was not and why: sums over samples."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from _shared.protocol import Json
from train.data.sample import FULL_WEIGHT, TokenRow, TrainingSample


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
        mine = asdict(self)
        theirs = asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})

    def json(self) -> Json:
        return asdict(self)


def counts_of(samples: Iterable[TrainingSample]) -> Counts:
    """Of whole samples. Those that teach nothing have no tokens to train."""
    total = Counts()
    for sample in samples:
        total += _sample_counts(sample)
        if sample.counts:
            total += Counts(tokens=sample.pairs, supervised_tokens=sample.supervised)
    return total


def counts_in(rows: Sequence[TokenRow]) -> Counts:
    """Of what lies in rows: a sample where it begins, a token where it is."""
    begun: list[TrainingSample] = []
    tokens = 0
    supervised = 0
    for row in rows:
        begun += row.left_out
        for piece in row.pieces:
            if piece.is_first:
                begun.append(piece.sample)
            weights_T = piece.sample.weights_T[piece.begin + 1 : piece.end + 1]
            tokens += len(weights_T)
            supervised += int(np.count_nonzero(weights_T >= FULL_WEIGHT))
    total = Counts(tokens=tokens, supervised_tokens=supervised)
    for sample in begun:
        total += _sample_counts(sample)
    return total


def _sample_counts(sample: TrainingSample) -> Counts:
    if sample.dropped_tokens:
        return Counts(samples=1, dropped=1, dropped_tokens=sample.dropped_tokens)
    is_unsupervised = sample.supervised == 0
    return Counts(
        samples=1,
        cut=int(sample.cut_tokens > 0),
        cut_tokens=sample.cut_tokens,
        unsupervised=int(is_unsupervised),
        endless=int(not sample.ends and not is_unsupervised),
    )
