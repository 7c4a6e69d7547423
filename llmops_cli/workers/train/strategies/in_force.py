"""What really runs, read back from a model and its wrappers, and whether it was asked for.

Libraries fall back without a word (accelerate with an FSDP plugin on a CPU does plain DDP), so a
run looks before its first step.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import Linear, Module
from torch.nn.parallel import DistributedDataParallel
from transformers.pytorch_utils import Conv1D

from _shared.protocol import JobError
from train.data.batch import Batch
from train.layout import is_spread, local_part
from train.precision import DTYPES
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.strategy import InForce

BY_MESH = {
    (): "single",
    ("shard",): "fsdp",
    ("replicate", "shard"): "hsdp",
    ("tensor",): "tp",
    ("shard", "tensor"): "fsdp+tp",
    ("pipeline",): "pp",
    ("pipeline", "shard"): "fsdp+pp",
}
"""Which strategy the meshes of a model's parameters tell of."""


def observed(
    call: Any,
    model: Any,
    losses: Callable[[Batch], float],
    *,
    around: Mapping[str, int] | None = None,
) -> InForce:
    """Every rank must call it: it runs one forward pass.

    around: ranks along dimensions that whole parameters, not parts of them, are spread over.
    """
    mesh = {**(around or {}), **_mesh_of(model)}
    is_ddp = isinstance(call, DistributedDataParallel)
    parameters = list(model.parameters())
    with _seen_dtypes(model) as dtypes:
        losses(_smallest_batch())
    return InForce(
        strategy="ddp" if is_ddp else BY_MESH.get(tuple(mesh), "unknown"),
        world_size=distributed.get_world_size() if distributed.is_initialized() else 1,
        mesh=mesh,
        parameter_dtype=_only(parameter.dtype for parameter in parameters),
        compute_dtype=_only(dtypes),
        local_parameters=sum(local_part(parameter).numel() for parameter in parameters),
    )


def check(in_force: InForce, settings: Settings, ranks: Ranks) -> None:
    """Raises: JobError if something else runs than what was asked for."""
    compute_dtype = str(DTYPES[settings.precision]).removeprefix("torch.")
    asked = {
        "strategy": settings.strategy,
        "world_size": ranks.world_size,
        "parameter_dtype": "float32",
        "compute_dtype": compute_dtype,
    }
    for name, value in asked.items():
        found = getattr(in_force, name)
        if found != value:
            message = f"asked for {name} {value}, but {found} is in force"
            raise JobError("EngineFailed", message, "this is a bug, or a library that fell back")


def _mesh_of(model: Any) -> dict[str, int]:
    """Dimensions of all meshes that its parameters are spread over, outer ones first."""
    sizes: dict[str, int] = {}
    for parameter in model.parameters():
        if is_spread(parameter):
            mesh = parameter.device_mesh
            for dimension, name in enumerate(mesh.mesh_dim_names or ()):
                sizes[name] = mesh.size(dimension)
    order = ("replicate", "shard", "tensor")
    return {name: sizes[name] for name in order if name in sizes}


@contextmanager
def _seen_dtypes(model: Module) -> Iterator[set[torch.dtype]]:
    """Those of what the model's matrix products return meanwhile."""
    seen: set[torch.dtype] = set()

    def see(_module: Module, _given: Any, result: Tensor) -> None:
        seen.add(result.dtype)

    products = [module for module in model.modules() if isinstance(module, Linear | Conv1D)]
    handles = [module.register_forward_hook(see) for module in products]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _only(dtypes: Any) -> str:
    names = {str(dtype).removeprefix("torch.") for dtype in dtypes}
    return " and ".join(sorted(names))


def _smallest_batch() -> Batch:
    """One row of two tokens."""
    ids_BT = torch.ones(1, 2, dtype=torch.long)
    return Batch(
        ids_BT=ids_BT,
        targets_BT=ids_BT,
        weights_BT=torch.ones(1, 2),
        positions_BT=torch.arange(2)[None],
        documents=1,
        samples=(),
    )
