"""Pieces of samples become one batch.

Shapes: B rows, T tokens.
"""

from collections.abc import Sequence

import numpy as np

from train.data.batch import Batch
from train.data.sample import TokenRow


def collate(rows: Sequence[TokenRow], *, length: int | None = None) -> Batch:
    """As long as the longest row, or `length`.

    Positions begin anew with each piece. Padding goes on counting: it is behind all that counts,
    where causal attention never sees it.
    """
    import torch  # not where data is only indexed

    lengths = [row.length for row in rows]
    longest = length or max([1, *lengths])
    documents = [len(row.pieces) for row in rows]
    shape = (len(rows), longest)
    ids_BT = np.zeros(shape, np.int64)
    targets_BT = np.zeros(shape, np.int64)
    weights_BT = np.zeros(shape, np.float32)
    positions_BT = np.tile(np.arange(longest), (len(rows), 1))
    for number, row in enumerate(rows):
        place = 0
        for piece in row.pieces:
            sample = piece.sample
            tokens = slice(piece.begin, piece.end)
            following = slice(piece.begin + 1, piece.end + 1)
            stop = place + piece.length
            ids_BT[number, place:stop] = sample.ids_T[tokens]
            targets_BT[number, place:stop] = sample.ids_T[following]
            weights_BT[number, place:stop] = sample.weights_T[following]
            positions_BT[number, place:] = np.arange(longest - place)
            place = stop
    targets_BT[weights_BT == 0] = 0
    return Batch(
        ids_BT=torch.from_numpy(ids_BT),
        targets_BT=torch.from_numpy(targets_BT),
        weights_BT=torch.from_numpy(weights_BT),
        positions_BT=torch.from_numpy(positions_BT),
        documents=max([1, *documents]),
        samples=_numbers(rows),
    )


def _numbers(rows: Sequence[TokenRow]) -> tuple[int, ...]:
    pieces = (piece for row in rows for piece in row.pieces)
    return tuple(piece.sample.number for piece in pieces if piece.is_first)
