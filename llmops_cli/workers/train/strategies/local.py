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
from train.averages import Average
from train.blocks import blocks_of
from train.checkpointing import keep_less
from train.data.batch import Batch, split_by_length
from train.loss import forward, loss_sum, without_dropout
from train.norms import clip_factor, global_norm, scale
from train.optimizers import Optimizers
from train.precision import DTYPES, LossScale, autocast
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.in_force import observed
from train.strategies.strategy import InForce, Share
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
        self._optimizers = Optimizers(model, settings)
        self._weights = weights_of(model)
        self._loss_scale = LossScale.of(settings.precision)
        self._average = Average.of(self._optimizers.pieces, settings.ema_decay)

    def gradients(self, batch: Batch, total_weight: float) -> float:
        total = 0.0
        factor = self._averaged_over * self._loss_scale.value / total_weight
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
        gradients = self._optimizers.gradients()
        norm = global_norm(gradients) / self._loss_scale.value
        self._loss_scale.observe(norm)
        factor = clip_factor(norm, most) / self._loss_scale.value
        if factor != 1 and not self._loss_scale.overflowed:
            scale(gradients, factor)
        return norm

    def update(self, factor: float) -> None:
        if self._loss_scale.overflowed:
            self._optimizers.drop_gradients()
        else:
            self._optimizers.step(factor)
            self._average.update()
        self._loss_scale.adapt()

    def drop_gradients(self) -> None:
        self._optimizers.drop_gradients()

    def sum_over_shares(self, values: list[float]) -> list[float]:
        if self.share.parts == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64, device=self._ranks.device)
        distributed.all_reduce(summed, group=self._group)
        return summed.tolist()

    def state(self) -> dict[str, Any]:
        state = {"model": dict(self._weights), "optimizer": self._optimizers.state()}
        state |= self._loss_scale.state()
        state |= self._average.state()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        copy_into(self._weights, state["model"])
        self._optimizers.restore(state["optimizer"])
        self._loss_scale.restore(state)
        self._average.restore(state)

    def save_model(self, folder: Path) -> None:
        weights = {**self._weights, **self._average.weights()}
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
