"""Tensor parallel: all ranks compute the same rows, each with its part of every matrix."""

from typing import Any

from torch.distributed.device_mesh import init_device_mesh

from _shared.protocol import JobError
from train.materialise import materialise
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.local import LocalStrategy, prepare, refuse_offload
from train.strategies.strategy import Share, Strategy
from train.tensor_parallel.plan import cut_model


def build(model: Any, settings: Settings, ranks: Ranks) -> Strategy:
    """Raises: JobError if the ranks are not one group, or for a model that cannot be cut."""
    if settings.tensor_parallel not in {1, ranks.world_size}:
        message = (
            f"strategy 'tp' is one group of all {ranks.world_size} ranks, "
            f"not of {settings.tensor_parallel}"
        )
        raise JobError("UsageError", message, "--strategy fsdp+tp")
    mesh = init_device_mesh(ranks.device.type, (ranks.world_size,), mesh_dim_names=("tensor",))
    refuse_offload(settings)
    prepare(model, settings)
    cut_model(model, mesh)
    materialise(model, settings, ranks.device)
    model.to(ranks.device)
    share = Share.of(0, 1, settings)
    return LocalStrategy(model=model, settings=settings, ranks=ranks, share=share)
