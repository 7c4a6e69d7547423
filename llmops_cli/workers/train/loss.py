"""The weighted sum of cross entropies that every strategy adds up.

Shapes: B rows, T tokens, V vocabulary, N = B * T.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.nn import functional

from train.data.batch import Batch


def loss_sum(logits_BTV: Tensor, batch: Batch) -> Tensor:
    """A sum, never a mean: only the whole step knows by which weight it is divided."""
    logits_NV = logits_BTV.float().flatten(0, 1)
    targets_N = batch.targets_BT.flatten()
    weights_N = batch.weights_BT.flatten()
    losses_N = functional.cross_entropy(logits_NV, targets_N, reduction="none")
    return (losses_N * weights_N).sum()


@contextmanager
def without_dropout(model: Any) -> Iterator[None]:
    """While it is evaluated."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def forward(model: Any, batch: Batch) -> Tensor:
    """logits_BTV.

    No mask: rows are padded on the right, which causal attention never sees, and Transformers
    makes the block mask of packed rows from positions that begin anew.
    """
    positions_BT = batch.positions_BT if batch.documents > 1 else None
    logits_BTV: Tensor = model(
        input_ids=batch.ids_BT, position_ids=positions_BT, use_cache=False
    ).logits
    return logits_BTV
