"""Fully sharded data parallel: each rank holds a part of every tensor, and reads its own rows.

A block's weights are gathered before it is used and let go behind it (torch's FSDP2). Gradients are
reduced behind every micro-batch, so they too are whole for one block at a time.
"""

from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
)
from torch.distributed.tensor import Shard

from train.blocks import blocks_of
from train.layout import is_spread
from train.materialise import materialise
from train.precision import DTYPES
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.local import LocalStrategy, prepare
from train.strategies.strategy import Share, Strategy


def build(model: Any, settings: Settings, ranks: Ranks) -> Strategy:
    mesh = init_device_mesh(ranks.device.type, (ranks.world_size,), mesh_dim_names=("shard",))
    prepare(model, settings)
    shard(model, mesh, settings)
    materialise(model, settings, home_of(settings, ranks))
    return LocalStrategy(
        model=model,
        settings=settings,
        ranks=ranks,
        share=Share.of(ranks.rank, ranks.world_size, settings),
        averaged_over=ranks.world_size,
        casts=True,
    )


def shard(model: Any, mesh: DeviceMesh, settings: Settings) -> None:
    """Spreads each block, then what is left, over `mesh`."""
    options = options_of(mesh, settings)
    for block in blocks_of(model):
        fully_shard(block, **options)
    fully_shard(model, **options)


def options_of(mesh: DeviceMesh, settings: Settings) -> dict[str, Any]:
    """How `fully_shard` spreads a module over `mesh`."""
    return {
        "mesh": mesh,
        "mp_policy": mixed_precision(settings.precision),
        "offload_policy": _offload(settings),
        "shard_placement_fn": lambda parameter: _placement(parameter, mesh),
    }


def home_of(settings: Settings, ranks: Ranks) -> torch.device:
    """Where parameters are between their uses."""
    return torch.device("cpu") if settings.offload == "parameters" else ranks.device


def mixed_precision(precision: str) -> MixedPrecisionPolicy:
    """Weights are gathered in the run's precision; gradients are summed in f32."""
    if precision == "f32":
        return MixedPrecisionPolicy()
    return MixedPrecisionPolicy(param_dtype=DTYPES[precision], reduce_dtype=torch.float32)


def _offload(settings: Settings) -> OffloadPolicy:
    """With `parameters`, gradients and the optimizer are in main memory too."""
    if settings.offload == "parameters":
        return CPUOffloadPolicy(pin_memory=torch.cuda.is_available())
    return OffloadPolicy()


def _placement(parameter: torch.nn.Parameter, mesh: DeviceMesh) -> Shard | None:
    """Rows; columns where tensor parallel has cut the rows, so that every part stays one piece."""
    if not is_spread(parameter) or parameter.ndim != 2:
        return None
    has_rows_cut = any(placement.is_shard(dim=0) for placement in parameter.placements)
    columns = parameter.to_local().shape[1]
    if has_rows_cut and columns % mesh["shard"].size() == 0:
        return Shard(1)
    return None
