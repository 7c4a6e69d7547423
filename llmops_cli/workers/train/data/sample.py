"""Samples as tokens, and the pieces of them that lie in a row.

Shapes: T tokens.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
Weights = NDArray[np.float32]

FULL_WEIGHT = 1.0
"""Of a token that is trained; those of a prompt weigh less or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSample:
    """One row of a file as tokens. weights_T: what predicting each token counts.

    The first token is predicted from nothing, so its weight is never used. `cut_tokens` were left
    out at the end; a `dropped` sample has no tokens at all.
    """

    number: int
    ids_T: Ids
    weights_T: Weights
    is_divisible: bool = False
    ends: bool = True
    cut_tokens: int = 0
    dropped_tokens: int = 0

    @property
    def pairs(self) -> int:
        """A token and the one to be predicted after it, up to the last one that counts.

        These are the tokens of a run, in every figure: what is behind them is not computed.
        """
        counted_T = np.flatnonzero(self.weights_T[1:])
        return int(counted_T[-1]) + 1 if len(counted_T) else 0

    @property
    def supervised(self) -> int:
        """Tokens that are trained in full."""
        return int(np.count_nonzero(self.weights_T[1:] >= FULL_WEIGHT))

    @property
    def counts(self) -> bool:
        """Whether anything can be learned from it."""
        return bool(self.weights_T[1:].any())


class SamplePiece(NamedTuple):
    """Neighbouring pairs of one sample, in one row."""

    sample: TrainingSample
    begin: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.begin

    @property
    def is_first(self) -> bool:
        """A sample counts where it begins, so none counts twice."""
        return self.begin == 0


class TokenRow(NamedTuple):
    """What lies in one row of a batch, and the samples before it that teach nothing."""

    pieces: tuple[SamplePiece, ...]
    left_out: tuple[TrainingSample, ...] = ()

    @property
    def length(self) -> int:
        return sum(piece.length for piece in self.pieces)


def row_of(sample: TrainingSample) -> TokenRow:
    """A row of its own; an empty one if nothing can be learned from it."""
    if not sample.counts:
        return TokenRow((), (sample,))
    return TokenRow((SamplePiece(sample, 0, sample.pairs),))


def sample_of(number: int, ids: Any, weights: Any, **more: Any) -> TrainingSample:
    """From any sequences of numbers."""
    ids_T = np.asarray(ids, dtype=np.int32)
    weights_T = np.asarray(weights, dtype=np.float32)
    return TrainingSample(number=number, ids_T=ids_T, weights_T=weights_T, **more)
