"""The strategy of models that are cut into stages: pipeline parallel, alone or with FSDP inside."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule
from torch.nn import Parameter
from torch.nn.utils import get_total_norm

from train.data.batch import Batch
from train.optimizers import Optimizers
from train.precision import DTYPES
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.line import Line
from train.strategies.pipeline import Pipeline
from train.strategies.stage_files import save_stage
from train.strategies.strategy import InForce, Share
from train.strategies.tied import Tied, local


class StagedStrategy:
    """`model` is what this rank has of it; `mesh` has lines of stages, and copies of each stage.

    Copies of a stage hold shards of it: FSDP averages their gradients.
    """

    def __init__(
        self,
        *,
        name: str,
        model: Any,
        settings: Settings,
        ranks: Ranks,
        mesh: DeviceMesh,
        line: Line,
        tied: Tied | None,
    ) -> None:
        _, copies = mesh.shape
        self.model = model
        self.share = Share(mesh.get_local_rank("data"), copies)
        self._name = name
        self._ranks = ranks
        self._settings = settings
        self._mesh = mesh
        self._tied = tied
        self._pipeline = Pipeline(line, settings)
        self._optimizers = Optimizers(model, settings)

    def gradients(self, batch: Batch, total_weight: float) -> float:
        rows = self._ready(batch)
        loss = self._pipeline.gradients(rows, total_weight / self.share.parts)
        if self._tied is not None:
            self._tied.sum_gradients()
        return loss

    def losses(self, batch: Batch) -> float:
        loss = self._pipeline.losses(self._ready(batch))
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        return loss

    def _ready(self, batch: Batch) -> Batch:
        """No longer than its longest row, on the device."""
        longest = max(1, int(batch.lengths().max()))
        return batch.cut_to(longest).to(self._ranks.device)

    def clip(self, most: float) -> float:
        norm = self._norm()
        if most > 0:
            scale = min(1.0, most / (norm + 1e-6))
            for gradient in self._gradients():
                gradient.mul_(scale)
        return norm

    def _gradients(self) -> list[Tensor]:
        """Of this rank's part of the parameters."""
        return [local(parameter.grad) for parameter in self._trained()]

    def _norm(self) -> float:
        """Over all stages and shards; a weight that two stages hold counts once."""
        trained = list(self._trained())
        counted = [each.grad for each in trained if not self._is_elsewhere(each)]
        square = get_total_norm([local(gradient) for gradient in counted]).double() ** 2
        distributed.all_reduce(square)
        return float(square.sqrt())

    def _is_elsewhere(self, parameter: Parameter) -> bool:
        """A second copy of a weight of another stage."""
        return self._tied is not None and self._tied.is_elsewhere(parameter)

    def _trained(self) -> Iterator[Any]:
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                yield parameter

    def update(self, factor: float) -> None:
        self._optimizers.step(factor)

    def drop_gradients(self) -> None:
        self._optimizers.drop_gradients()

    def sum_over_shares(self, values: list[float]) -> list[float]:
        if self.share.parts == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64, device=self._ranks.device)
        distributed.all_reduce(summed, group=self._mesh.get_group("data"))
        return summed.tolist()

    def state(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self._optimizers.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._optimizers.restore(state["optimizer"])

    def save_model(self, folder: Path) -> None:
        weights = {}
        for name, parameter in self.model.named_parameters():
            if not self._is_elsewhere(parameter):
                weights[name] = parameter.detach()
        save_stage(weights, folder)
        if self._ranks.is_first:
            self.model.config.save_pretrained(folder)

    def in_force(self) -> InForce:
        parameters = list(self.model.parameters())
        return InForce(
            strategy=self._name,
            world_size=distributed.get_world_size(),
            mesh=dict(zip(self._mesh.mesh_dim_names or (), self._mesh.shape, strict=True)),
            parameter_dtype=str(parameters[0].dtype).removeprefix("torch."),
            compute_dtype=str(DTYPES[self._settings.precision]).removeprefix("torch."),
            local_parameters=sum(local(parameter).numel() for parameter in parameters),
        )
