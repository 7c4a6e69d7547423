"""A moving average of the weights, which is what the run then exports."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from train.layout import local_part, spread_like
from train.optimizers import Piece


class Average:
    """Each rank averages the parts that it holds; with a decay of 0 there is no average."""

    def __init__(self, pieces: Sequence[Piece], decay: float) -> None:
        self._decay = decay
        self._pieces = {piece.name: piece for piece in pieces}
        self._means = {
            name: local_part(piece.parameter).detach().clone()
            for name, piece in self._pieces.items()
        }

    @classmethod
    def of(cls, pieces: Sequence[Piece], decay: float) -> "Average":
        return cls(pieces if decay > 0 else [], decay)

    @torch.no_grad()
    def update(self) -> None:
        for name, mean in self._means.items():
            mean.lerp_(local_part(self._pieces[name].parameter), 1 - self._decay)

    def weights(self) -> dict[str, Tensor]:
        """By name, spread as the parameters are."""
        return {
            name: spread_like(mean, self._pieces[name].parameter)
            for name, mean in self._means.items()
        }

    def state(self) -> dict[str, Any]:
        return {"average": self.weights()} if self._means else {}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        for name, mean in self._means.items():
            mean.copy_(local_part(state["average"][name]))
