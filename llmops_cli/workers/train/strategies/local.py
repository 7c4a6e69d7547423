"""Strategies whose ranks each run the whole forward pass: one process, DDP, FSDP, tensor parallel.

They differ in how the model is wrapped, which rows a rank reads, and by what its gradients are
averaged; the rest is here.
"""

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, distributed

from train.data.batch import Batch, split_by_length
from train.loss import forward, loss_sum
from train.optimizers import Optimizers
from train.precision import autocast
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.strategy import InForce, Share


class Synchronize(Protocol):
    """Told before each micro-batch whether it is the step's last."""

    def __call__(self, *, is_last: bool) -> None: ...


def _always(*, is_last: bool) -> None:
    del is_last


class LocalStrategy:
    """`call` runs the model and may be a wrapper of it.

    averaged_over: by how many ranks the wrapper divides summed gradients. group: the ranks that
    read different rows. synchronize: told before each micro-batch whether it is the step's last.
    """

    def __init__(
        self,
        *,
        name: str,
        model: Any,
        settings: Settings,
        ranks: Ranks,
        share: Share,
        call: Any = None,
        averaged_over: int = 1,
        group: distributed.ProcessGroup | None = None,
        synchronize: Synchronize = _always,
    ) -> None:
        self.model = model
        self.share = share
        self._name = name
        self._settings = settings
        self._ranks = ranks
        self._call = model if call is None else call
        self._averaged_over = averaged_over
        self._group = group
        self._synchronize = synchronize
        self._optimizers = Optimizers(model, settings)

    def gradients(self, batch: Batch, total_weight: float) -> float:
        total = 0.0
        scale = self._averaged_over / total_weight
        parts = split_by_length(batch, self._settings.accumulate)
        for number, part in enumerate(parts, 1):
            self._synchronize(is_last=number == len(parts))
            loss = self._loss(part)
            scaled: Any = loss * scale  # backward() has no types
            scaled.backward()
            total += loss.item()
        return total

    def _loss(self, batch: Batch) -> Tensor:
        on_device = batch.to(self._ranks.device)
        with autocast(self._settings, self._ranks.device):
            logits_BTV = forward(self._call, on_device)
        return loss_sum(logits_BTV, on_device)

    @torch.no_grad()
    def losses(self, batch: Batch) -> float:
        return self._loss(batch).item()

    def clip(self, most: float) -> float:
        return self._optimizers.clip(most)

    def update(self, factor: float) -> None:
        self._optimizers.step(factor)

    def drop_gradients(self) -> None:
        self._optimizers.drop_gradients()

    def sum_over_shares(self, values: list[float]) -> list[float]:
        if self.share.parts == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64, device=self._ranks.device)
        distributed.all_reduce(summed, group=self._group)
        return summed.tolist()

    def state(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self._optimizers.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._optimizers.restore(state["optimizer"])

    def save_model(self, folder: Path) -> None:
        if self._ranks.is_first:
            self.model.save_pretrained(folder)

    def in_force(self) -> InForce:
        parameters = list(self.model.parameters())
        world_size = 1
        if distributed.is_initialized():
            world_size = distributed.get_world_size()
        return InForce(
            strategy=self._name,
            world_size=world_size,
            parameter_dtype=str(parameters[0].dtype).removeprefix("torch."),
            compute_dtype=self._settings.precision,
            local_parameters=sum(parameter.numel() for parameter in parameters),
        )
