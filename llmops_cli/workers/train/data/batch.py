"""Rows of tokens, and how they are cut into micro-batches.

Shapes: B rows, T tokens. Torch is imported where rows are made: whoever indexes data has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Batch(NamedTuple):
    """Some rows of one step's global batch.

    ids_BT: tokens, right-padded with 0. targets_BT: the token behind each of them, 0 where it does
    not count. weights_BT: what predicting that target counts, 0 for padding. positions_BT: inside
    its own document. documents: most documents in one row; with 1, causality is all the mask that
    is needed. samples: ids of what is in it.
    """

    ids_BT: Tensor
    targets_BT: Tensor
    weights_BT: Tensor
    positions_BT: Tensor
    documents: int
    samples: tuple[int, ...]

    @property
    def weight(self) -> float:
        """By which the loss is divided, with the weights of all other rows."""
        return float(self.weights_BT.double().sum())

    @property
    def tokens(self) -> int:
        return int(self.lengths().sum())

    def lengths(self) -> Tensor:
        """lengths_B: tokens of each row without its padding, up to the last one that counts."""
        import torch

        count = self.ids_BT.shape[1]
        numbers_T = torch.arange(1, count + 1)
        counted_BT = (self.weights_BT != 0) * numbers_T
        return counted_BT.amax(dim=1)

    def cut_to(self, tokens: int) -> Batch:
        """Without the columns behind `tokens`."""
        return self._replace(
            ids_BT=self.ids_BT[:, :tokens],
            targets_BT=self.targets_BT[:, :tokens],
            weights_BT=self.weights_BT[:, :tokens],
            positions_BT=self.positions_BT[:, :tokens],
        )

    def to(self, device: torch.device) -> Batch:
        if self.ids_BT.device == device:
            return self
        return self._replace(
            ids_BT=self.ids_BT.to(device, non_blocking=True),
            targets_BT=self.targets_BT.to(device, non_blocking=True),
            weights_BT=self.weights_BT.to(device, non_blocking=True),
            positions_BT=self.positions_BT.to(device, non_blocking=True),
        )


def split_by_length(batch: Batch, count: int) -> list[Batch]:
    """`count` micro-batches of rows of alike length, each padded to its own longest row."""
    lengths_B = batch.lengths()
    order_B = lengths_B.argsort(stable=True)
    parts = []
    for rows in order_B.chunk(count):
        longest = max(1, int(lengths_B[rows].max()))
        part = batch._replace(
            ids_BT=batch.ids_BT[rows, :longest],
            targets_BT=batch.targets_BT[rows, :longest],
            weights_BT=batch.weights_BT[rows, :longest],
            positions_BT=batch.positions_BT[rows, :longest],
        )
        parts.append(part)
    return parts


def split_evenly(batch: Batch, count: int) -> list[Batch]:
    """`count` micro-batches of the same shape, in the order of the rows."""
    fields = (batch.ids_BT, batch.targets_BT, batch.weights_BT, batch.positions_BT)
    pieces = [field.chunk(count) for field in fields]
    parts = []
    for ids_BT, targets_BT, weights_BT, positions_BT in zip(*pieces, strict=True):
        part = batch._replace(
            ids_BT=ids_BT, targets_BT=targets_BT, weights_BT=weights_BT, positions_BT=positions_BT
        )
        parts.append(part)
    return parts
