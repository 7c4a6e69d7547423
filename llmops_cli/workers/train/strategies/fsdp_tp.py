"""FSDP over groups of ranks that are tensor parallel: matrices are cut twice."""

from typing import Any

from torch.distributed.device_mesh import init_device_mesh

from _shared.protocol import JobError
from train.materialise import materialise
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.fsdp import home_of, shard
from train.strategies.local import LocalStrategy, prepare
from train.strategies.strategy import Share, Strategy
from train.tensor_parallel.plan import cut_model


def build(model: Any, settings: Settings, ranks: Ranks) -> Strategy:
    """Raises: JobError if the ranks do not make several such groups."""
    size = settings.tensor_parallel
    groups, left = divmod(ranks.world_size, size)
    if left or groups < 2 or size < 2:
        message = (
            f"strategy 'fsdp+tp' needs several groups of --tensor-parallel {size}, at least 2, "
            f"and there are {ranks.world_size} ranks"
        )
        raise JobError("UsageError", message, "--tensor-parallel, a divisor of the ranks")
    mesh = init_device_mesh(ranks.device.type, (groups, size), mesh_dim_names=("shard", "tensor"))
    prepare(model, settings)
    cut_model(model, mesh["tensor"])
    shard(model, mesh["shard"], settings)
    materialise(model, settings, home_of(settings, ranks))
    return LocalStrategy(
        model=model,
        settings=settings,
        ranks=ranks,
        share=Share.of(mesh.get_local_rank("shard"), groups, settings),
        averaged_over=groups,
        group=mesh.get_group("shard"),
        casts=True,
    )
