"""Strategies whose ranks each run the whole forward pass: one process, DDP, FSDP, tensor parallel.

They differ in how the model is wrapped, which rows a rank reads, and by what its gradients are
averaged; the rest is here.
"""

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, distributed
from torch.distributed.fsdp import FSDPModule

from _shared.protocol import JobError
from train.blocks import blocks_of
from train.checkpointing import keep_less
from train.data.batch import Batch, split_by_length
from train.loss import forward, loss_sum, without_dropout
from train.norms import global_norm
from train.precision import DTYPES, autocast
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.in_force import observed
from train.strategies.strategy import InForce, Share
from train.strategies.updates import Updates, sum_over
from train.weights import copy_into, weights_of
from train.weights_file import save_config, save_weights


class Synchronize(Protocol):
    """Told before each micro-batch whether it is the step's last."""

    def __call__(self, *, is_last: bool) -> None: ...


def _always(*, is_last: bool) -> None:
    del is_last


class LocalStrategy:
    """`call` runs the model and may be a wrapper of it.

    averaged_over: by how many ranks the wrapper divides summed gradients. group: the ranks that
    read different rows. synchronize: told before each micro-batch whether it is the step's last.
    casts: the wrapper computes in the run's precision by itself.
    """

    def __init__(
        self,
        *,
        model: Any,
        settings: Settings,
        ranks: Ranks,
        share: Share,
        call: Any = None,
        averaged_over: int = 1,
        group: distributed.ProcessGroup | None = None,
        synchronize: Synchronize = _always,
        casts: bool = False,
    ) -> None:
        self.model = model
        self.share = share
        self._settings = settings
        self._ranks = ranks
        self._call = model if call is None else call
        self._averaged_over = averaged_over
        self._group = group
        self._synchronize = synchronize
        self._casts = casts
        self._updates = Updates(model, settings)
        self._weights = weights_of(model)

    def gradients(self, batch: Batch, total_weight: float) -> float:
        total = 0.0
        factor = self._averaged_over * self._updates.loss_scale.value / total_weight
        parts = split_by_length(batch, self._settings.accumulate)
        for number, part in enumerate(parts, 1):
            self._synchronize(is_last=number == len(parts))
            loss = self._loss(part)
            scaled: Any = loss * factor  # backward() has no types
            scaled.backward()
            total += loss.item()
        return total

    def _loss(self, batch: Batch) -> Tensor:
        on_device = batch.to(self._ranks.device)
        precision = "f32" if self._casts else self._settings.precision
        with autocast(precision, self._ranks.device):
            logits_BTV = forward(self._call, on_device)
        return loss_sum(logits_BTV, on_device)

    @torch.no_grad()
    def losses(self, batch: Batch) -> float:
        with without_dropout(self.model):
            loss = self._loss(batch).item()
        self._reshard()
        return loss

    def _reshard(self) -> None:
        """FSDP keeps the root's weights whole after a forward pass, and they would grow old."""
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()

    def clip(self, most: float) -> float:
        norm = global_norm(self._updates.optimizers.gradients())
        return self._updates.clip(norm, most=most)

    def update(self, factor: float) -> None:
        self._updates.update(factor)

    def drop_gradients(self) -> None:
        self._updates.optimizers.drop_gradients()

    def sum_over_shares(self, values: list[float]) -> list[float]:
        return sum_over(values, self.share, self._group, self._ranks.device)

    def state(self) -> dict[str, Any]:
        state = {"model": dict(self._weights), "optimizer": self._updates.optimizers.state()}
        state |= self._updates.loss_scale.state()
        state |= self._updates.average.state()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        copy_into(self._weights, state["model"])
        self._updates.optimizers.restore(state["optimizer"])
        self._updates.loss_scale.restore(state)
        self._updates.average.restore(state)

    def save_model(self, folder: Path) -> None:
        weights = {**self._weights, **self._updates.average.weights()}
        dtype = DTYPES[self._settings.export_dtype]
        save_weights(weights, folder, self._ranks, dtype=dtype)
        if self._ranks.is_first:
            save_config(self.model, folder, dtype)

    def in_force(self) -> InForce:
        return observed(self._call, self.model, self.losses)


def prepare(model: Any, settings: Settings) -> None:
    """What every strategy does to a model before it is wrapped."""
    keep_less(model, settings.activation_checkpointing)
    if settings.compile:
        # Blocks are alike, so that one is compiled for all; and FSDP hooks in between them.
        for block in blocks_of(model):
            block.compile()


def refuse_offload(settings: Settings) -> None:
    """Raises: JobError where every parameter is needed on the device all the time."""
    if settings.offload == "parameters":
        message = f"strategy '{settings.strategy}' cannot keep parameters in main memory"
        raise JobError("UsageError", message, "--strategy fsdp, or --offload optimizer")
