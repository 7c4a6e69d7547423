"""ZeRO by DeepSpeed: ranks share optimizer states (1), also gradients (2), also weights (3).

Each keeps a part, and all of it can lie in main memory.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import init_device_mesh

from _shared.protocol import JobError
from train.data.batch import Batch, split_by_length
from train.layout import whole_shape
from train.loss import forward, loss_sum
from train.precision import DTYPES
from train.ranks import Ranks
from train.settings import Settings
from train.strategies import zero_states
from train.strategies.in_force import observed
from train.strategies.local import prepare
from train.strategies.strategy import InForce, Share, Strategy
from train.strategies.zero_engine import ZeroEngine, make_engine
from train.weights import weights_of
from train.weights_file import save_config, save_weights


def build(model: Any, settings: Settings, ranks: Ranks, *, stage: int) -> Strategy:
    """Raises: JobError for what ZeRO cannot do exactly."""
    refuse(settings, stage)
    share = Share.of(ranks.rank, ranks.world_size, settings)
    prepare(model, settings)
    if stage < 3:
        model.to(ranks.device)
    return ZeroStrategy(make_engine(model, settings, ranks, stage), settings, ranks, share)


build_1 = partial(build, stage=1)
build_2 = partial(build, stage=2)
build_3 = partial(build, stage=3)


def refuse(settings: Settings, stage: int) -> None:
    """Raises: JobError with the reason."""
    name = f"zero{stage}"
    if settings.optimizer != "adamw":
        message = (
            f"'{settings.optimizer}' needs whole matrices, and {name} cuts the weights of many "
            "into flat pieces"
        )
        raise JobError("UsageError", message, "--optimizer adamw, or --strategy fsdp")
    if settings.precision == "fp16":
        message = f"fp16 under {name} would scale losses twice"
        raise JobError("UsageError", message, "--precision bf16, or --strategy fsdp")
    if settings.ema_decay > 0:
        raise JobError("UsageError", f"{name} averages no weights", "--ema 0, or --strategy fsdp")
    if settings.offload == "parameters" and stage < 3:
        message = f"{name} keeps the weights whole on each rank, so they cannot be offloaded"
        raise JobError("UsageError", message, "--offload optimizer, or --strategy zero3")


class ZeroStrategy:
    """The same weights in f32 on the side of the optimizer; autocast in other precisions."""

    def __init__(self, engine: ZeroEngine, settings: Settings, ranks: Ranks, share: Share) -> None:
        self.model = engine.engine.module
        self.share = share
        self._engine = engine
        self._settings = settings
        self._ranks = ranks
        self._mesh = init_device_mesh(ranks.device.type, (ranks.world_size,))
        self._norm = torch.zeros(())
        self._most = 0.0

    def gradients(self, batch: Batch, total_weight: float) -> float:
        total = 0.0
        factor = self.share.parts / total_weight
        parts = split_by_length(batch, self._settings.accumulate)
        for number, part in enumerate(parts, 1):
            loss = self._loss(part)
            self._engine.backward(loss * factor, is_last=number == len(parts))
            total += loss.item()
        return total

    def _loss(self, batch: Batch) -> Tensor:
        on_device = batch.to(self._ranks.device)
        return loss_sum(forward(self._engine.engine, on_device), on_device)

    @torch.no_grad()
    def losses(self, batch: Batch) -> float:
        """In evaluation mode, or DeepSpeed would wait for a backward pass."""
        was_training = self.model.training
        self._engine.engine.eval()
        loss = self._loss(batch).item()
        self._engine.engine.train(was_training)
        return loss

    def clip(self, most: float) -> float:
        """What is above `most` is scaled in `update`."""
        self._most = most
        self._norm = self._engine.norm()
        return float(self._norm)

    def update(self, factor: float) -> None:
        self._engine.step(factor, most=self._most, norm=self._norm)

    def drop_gradients(self) -> None:
        self._engine.drop()

    def sum_over_shares(self, values: list[float]) -> list[float]:
        summed = torch.tensor(values, dtype=torch.float64, device=self._ranks.device)
        distributed.all_reduce(summed)
        return summed.tolist()

    def state(self) -> dict[str, Any]:
        return zero_states.state_of(self._engine, self._mesh)

    def restore(self, state: dict[str, Any]) -> None:
        zero_states.restore(self._engine, state)

    def save_model(self, folder: Path) -> None:
        dtype = DTYPES[self._settings.export_dtype]
        weights = weights_of(self.model)
        shapes = {name: _without_elements(weight) for name, weight in weights.items()}
        save_weights(
            shapes, folder, self._ranks, dtype=dtype, whole=lambda name: gathered(weights[name])
        )
        if self._ranks.is_first:
            save_config(self.model, folder, dtype)

    def whole_weights(self) -> Iterator[tuple[str, Tensor]]:
        """One after the other; with ZeRO-3 every rank must go through all of them."""
        for name, weight in weights_of(self.model).items():
            yield name, gathered(weight)

    def in_force(self) -> InForce:
        engine = self._engine.engine
        found = observed(engine, self.model, self.losses)
        return found._replace(
            strategy=f"zero{engine.zero_optimization_stage()}",
            mesh={"shard": distributed.get_world_size(engine.data_parallel_group)},
            local_parameters=sum(_held(weight) for weight in self.model.parameters()),
        )


def _without_elements(weight: Tensor) -> Tensor:
    return torch.empty(whole_shape(weight), dtype=weight.dtype, device="meta")


def _held(weight: Any) -> int:
    if hasattr(weight, "ds_tensor"):
        return int(weight.ds_tensor.numel())
    return int(weight.numel())


def gathered(weight: Any) -> Tensor:
    """A whole weight; with ZeRO-3 every rank must call it."""
    if not hasattr(weight, "ds_id"):
        whole: Tensor = weight
        return whole
    import deepspeed

    with deepspeed.zero.GatheredParameters([weight]):
        copy: Tensor = weight.detach().clone()
    return copy
