"""How far a model's next-token distributions lie from those of the one that it was made from.

Shapes: N positions, V vocabulary. Everything is computed in float64: what two right models differ
by is less than float32 resolves.
"""

import math

import numpy as np
from numpy.typing import NDArray

from _shared.arrays import Floats
from _shared.protocol import JobError, Json

Doubles = NDArray[np.float64]
BLOCK_ROWS = 16
"""Rows that are widened at once."""


class Comparison:
    """Sums over all rows that were added.

    `known_nats` is how far the original lies from a model that knows nothing: the scale of its KL.
    """

    def __init__(self) -> None:
        self._divergence = 0.0
        self._known = 0.0
        self._agreed = 0
        self._rows = 0

    def add(self, original_NV: Floats, copy_NV: Floats) -> None:
        """Logits of both; a vocabulary that is padded counts as far as both have it."""
        for start in range(0, len(copy_NV), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            self._add_block(original_NV[block], copy_NV[block])

    def _add_block(self, original_NV: Floats, copy_NV: Floats) -> None:
        width = min(original_NV.shape[1], copy_NV.shape[1])
        original_logs_NV = log_softmax(original_NV[:, :width])
        copy_logs_NV = log_softmax(copy_NV[:, :width])
        probs_NV = np.exp(original_logs_NV)
        self._divergence += float((probs_NV * (original_logs_NV - copy_logs_NV)).sum())
        entropy = -float((probs_NV * original_logs_NV).sum())
        rows = len(probs_NV)
        self._known += rows * math.log(width) - entropy
        agrees_N = original_logs_NV.argmax(axis=1) == copy_logs_NV.argmax(axis=1)
        self._agreed += int(agrees_N.sum())
        self._rows += rows

    def figures(self) -> Json:
        """Means. Raises: JobError for a copy whose logits are not numbers."""
        rows = max(self._rows, 1)
        if not math.isfinite(self._divergence):
            raise JobError("EngineFailed", "its probabilities are not numbers")
        return {
            "scored": self._rows,
            "kl_divergence": max(self._divergence / rows, 0.0),
            "known_nats": self._known / rows,
            "top1_agreement": self._agreed / rows,
        }


def log_softmax(logits_NV: Floats) -> Doubles:
    """In float64. What a model rules out altogether stays very unlikely, so that KL is finite."""
    wide_NV = np.maximum(logits_NV.astype(np.float64), -1e9)
    wide_NV -= wide_NV.max(axis=1, keepdims=True)
    sums_N1 = np.exp(wide_NV).sum(axis=1, keepdims=True)
    logs_NV: Doubles = wide_NV - np.log(sums_N1)
    return logs_NV
