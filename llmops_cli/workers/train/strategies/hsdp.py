"""Hybrid sharded data parallel: parts within groups of ranks, copies of them across groups.

So weights travel within a group only (a node), and across groups only gradients, once a step.
"""

from typing import Any

from torch.distributed.device_mesh import init_device_mesh

from _shared.protocol import JobError
from train.materialise import materialise
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.fsdp import home_of, shard
from train.strategies.local import LocalStrategy, prepare
from train.strategies.strategy import Share, Strategy


def build(model: Any, settings: Settings, ranks: Ranks) -> Strategy:
    """Raises: JobError if the ranks do not make several groups of the size asked for."""
    size = shard_size(settings, ranks)
    mesh = init_device_mesh(
        ranks.device.type,
        (ranks.world_size // size, size),
        mesh_dim_names=("replicate", "shard"),
    )
    prepare(model, settings)
    shard(model, mesh, settings)
    materialise(model, settings, home_of(settings, ranks))
    return LocalStrategy(
        model=model,
        settings=settings,
        ranks=ranks,
        share=Share.of(ranks.rank, ranks.world_size, settings),
        averaged_over=ranks.world_size,
        synchronize=lambda *, is_last: model.set_requires_all_reduce(is_last),
        casts=True,
    )


def shard_size(settings: Settings, ranks: Ranks) -> int:
    """Ranks that hold one copy together; 0 is those of one node."""
    size = settings.shard_size or ranks.local_world_size
    groups, left = divmod(ranks.world_size, size)
    if left or groups < 2:
        message = f"strategy 'hsdp' needs groups of {size}, and {ranks.world_size} ranks make none"
        raise JobError("UsageError", message, "--shard-size, a divisor of the number of ranks")
    return size
