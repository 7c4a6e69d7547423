"""The strategy of models that are cut into stages: pipeline parallel, alone or with FSDP inside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule

from train.data.batch import Batch
from train.layout import local_part
from train.loss import without_dropout
from train.norms import squared_norms
from train.precision import DTYPES
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.in_force import observed
from train.strategies.line import DATA, PIPELINE, Line
from train.strategies.pipeline import Pipeline
from train.strategies.stage_files import save_stages
from train.strategies.strategy import InForce, Share
from train.strategies.tied import Tied
from train.strategies.updates import Updates, sum_over
from train.weights import copy_into, weights_of
from train.weights_file import save_config


class StagedStrategy:
    """`model` is what this rank has of it; `mesh` has lines of stages, and copies of each stage.

    Copies of a stage hold shards of it: FSDP averages their gradients.
    """

    def __init__(
        self,
        *,
        model: Any,
        settings: Settings,
        ranks: Ranks,
        mesh: DeviceMesh,
        line: Line,
        tied: Tied | None,
    ) -> None:
        self.model = model
        self.share = Share(mesh.get_local_rank(DATA), mesh.size(1))
        self._ranks = ranks
        self._settings = settings
        self._mesh = mesh
        self._tied = tied
        self._pipeline = Pipeline(line, settings)
        self._updates = Updates(model, settings)
        self._weights = weights_of(model)

    def gradients(self, batch: Batch, total_weight: float) -> float:
        factor = self.share.parts * self._updates.loss_scale.value / total_weight
        loss = self._pipeline.gradients(self._ready(batch), factor)
        if self._tied is not None:
            self._tied.sum_gradients()
        return loss

    def losses(self, batch: Batch) -> float:
        with without_dropout(self.model):
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
        return self._updates.clip(self._norm(), most=most)

    @torch.no_grad()
    def _norm(self) -> float:
        """Over all stages and shards; a weight that two stages hold counts once."""
        held = self._updates.optimizers.pieces
        pieces = [piece for piece in held if not self._is_second(piece.name)]
        gradients = [piece.parameter.grad for piece in pieces]
        parts = [local_part(gradient) for gradient in gradients if gradient is not None]
        square = torch.zeros((), dtype=torch.float64, device=self._ranks.device)
        if parts:
            square += squared_norms(parts).sum()
        distributed.all_reduce(square)
        return float(square.sqrt())

    def _is_second(self, name: str) -> bool:
        """Whether this is the copy of a weight that another stage counts and saves."""
        return self._tied is not None and name == self._tied.second_name

    def update(self, factor: float) -> None:
        self._updates.update(factor)

    def drop_gradients(self) -> None:
        self._updates.optimizers.drop_gradients()

    def sum_over_shares(self, values: list[float]) -> list[float]:
        return sum_over(values, self.share, self._mesh.get_group(DATA), self._ranks.device)

    def state(self) -> dict[str, Any]:
        average = self._updates.average.state()
        state = {
            "model": self._whole_names(self._weights),
            "optimizer": self._whole_names(self._updates.optimizers.state()),
            **self._updates.loss_scale.state(),
        }
        return state | {key: self._whole_names(value) for key, value in average.items()}

    def _whole_names(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """Both copies of a tied weight by the name that one process's model has for it."""
        if self._tied is None:
            return dict(named)
        return {self._tied.whole_name(name): value for name, value in named.items()}

    def _own_names(self, named: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        whole_names = [self._tied.whole_name(name) if self._tied else name for name in own]
        return {name: named[whole] for name, whole in zip(own, whole_names, strict=True)}

    def restore(self, state: dict[str, Any]) -> None:
        copy_into(self._weights, self._own_names(state["model"], self._weights))
        kept = {piece.name: None for piece in self._updates.optimizers.pieces}
        self._updates.optimizers.restore(self._own_names(state["optimizer"], kept))
        self._updates.loss_scale.restore(state)
        if "average" in state:
            average = self._own_names(state["average"], self._updates.average.weights())
            self._updates.average.restore({"average": average})

    def save_model(self, folder: Path) -> None:
        weights = {**self._weights, **self._updates.average.weights()}
        kept = {name: weight for name, weight in weights.items() if not self._is_second(name)}
        dtype = DTYPES[self._settings.export_dtype]
        save_stages(kept, folder, self._ranks, self._mesh, dtype)
        if self._ranks.is_first:
            save_config(self.model, folder, dtype)

    def in_force(self) -> InForce:
        around = {PIPELINE: self._mesh.size(0)}
        return observed(self.model, self.model, self.losses, around=around)
