"""What this rank holds of a tensor that is spread over ranks."""

from typing import Any, TypeGuard

import torch
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset


def is_spread(tensor: Tensor) -> TypeGuard[DTensor]:
    return isinstance(tensor, DTensor)


@torch.no_grad()
def local_part(tensor: Tensor) -> Tensor:
    """What is held here, sharing its memory."""
    if is_spread(tensor):
        return tensor.to_local()
    return tensor


def spread_like(local: Tensor, like: Tensor) -> Tensor:
    """`local` as this rank's part of a tensor that is spread as `like` is."""
    if not is_spread(like):
        return local
    return DTensor.from_local(
        local,
        like.device_mesh,
        like.placements,
        run_check=False,
        shape=like.shape,
        stride=like.stride(),
    )


def whole(local: Tensor, like: Tensor) -> Tensor:
    """All parts of a tensor that is spread as `like` is; every rank of its mesh must call it."""
    spread = spread_like(local, like)
    if is_spread(spread):
        return spread.full_tensor()
    return spread


def own_slices(like: Tensor) -> tuple[slice, ...]:
    """Where this rank's part lies in the whole of `like`."""
    if not is_spread(like):
        return tuple(slice(0, size) for size in like.shape)
    placed: Any = compute_local_shape_and_global_offset  # it has no types
    sizes, offsets = placed(like.shape, like.device_mesh, like.placements)
    return tuple(slice(offset, offset + size) for size, offset in zip(sizes, offsets, strict=True))


def copies(tensor: Tensor) -> int:
    """How many of all ranks hold each element of it."""
    world_size = distributed.get_world_size() if distributed.is_initialized() else 1
    if not is_spread(tensor):
        return world_size
    mesh = tensor.device_mesh
    count = world_size // mesh.size()
    for dimension, placement in enumerate(tensor.placements):
        if isinstance(placement, Replicate):
            count *= mesh.size(dimension)
    return count
