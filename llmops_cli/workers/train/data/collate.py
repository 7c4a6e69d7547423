"""Pieces of samples become one batch.

Shapes: B rows, T tokens.
"""

from collections.abc import Sequence

import numpy as np
import torch

from train.data.batch import Batch
from train.data.sample import TokenRow


def collate(rows: Sequence[TokenRow], *, length: int | None = None) -> Batch:
    """As long as the longest row, or `length`.

    Positions begin anew with each piece. Padding goes on counting: it is behind all that counts,
    where causal attention never sees it.
    """
    lengths = [_length(row) for row in rows]
    longest = length or max([1, *lengths])
    shape = (len(rows), longest)
    ids_BT = np.zeros(shape, np.int64)
    targets_BT = np.zeros(shape, np.int64)
    weights_BT = np.zeros(shape, np.float32)
    positions_BT = np.tile(np.arange(longest), (len(rows), 1))
    for number, row in enumerate(rows):
        at = 0
        for sample, begin, end in row.pieces:
            stop = at + end - begin
            ids_BT[number, at:stop] = sample.ids_T[begin:end]
            targets_BT[number, at:stop] = sample.ids_T[begin + 1 : end + 1]
            weights_BT[number, at:stop] = sample.weights_T[begin + 1 : end + 1]
            positions_BT[number, at:] = np.arange(longest - at)
            at = stop
    targets_BT[weights_BT == 0] = 0
    return Batch(
        ids_BT=torch.from_numpy(ids_BT),
        targets_BT=torch.from_numpy(targets_BT),
        weights_BT=torch.from_numpy(weights_BT),
        positions_BT=torch.from_numpy(positions_BT),
        documents=max([1, *(len(row.pieces) for row in rows)]),
        samples=_numbers(rows),
    )


def _length(row: TokenRow) -> int:
    return sum(piece.end - piece.begin for piece in row.pieces)


def _numbers(rows: Sequence[TokenRow]) -> tuple[int, ...]:
    pieces = (piece for row in rows for piece in row.pieces)
    return tuple(piece.sample.number for piece in pieces if piece.is_first)
