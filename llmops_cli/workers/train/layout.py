"""What this rank holds of a tensor that is spread over ranks."""

from typing import Any, TypeGuard

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard
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


def has_whole_rows(tensor: Tensor) -> bool:
    """Whether no rank has a part of a row."""
    if not is_spread(tensor) or tensor.ndim < 2:
        return True
    return not any(placement.is_shard(tensor.ndim - 1) for placement in tensor.placements)


def rows_spread_like(local: Tensor, like: Tensor) -> Tensor:
    """`local` has the rows that this rank has of `like`, and columns of its own."""
    if not is_spread(like):
        return local
    shape = (*like.shape[:-1], local.shape[-1])
    return DTensor.from_local(
        local,
        like.device_mesh,
        like.placements,
        run_check=False,
        shape=torch.Size(shape),
        stride=torch.empty(shape, device="meta").stride(),
    )


def whole(local: Tensor, like: Tensor) -> Tensor:
    """All parts of a tensor that is spread as `like` is; every rank of its mesh must call it."""
    return whole_of(spread_like(local, like))


def whole_shape(tensor: Tensor) -> torch.Size:
    """ZeRO-3's weights have no elements while they are spread."""
    shape: torch.Size = getattr(tensor, "ds_shape", tensor.shape)
    return shape


def whole_of(spread: Tensor) -> Tensor:
    """All of a tensor; every rank of its mesh must call it."""
    return spread.full_tensor() if is_spread(spread) else spread


def rows_of_whole(whole: Tensor, mesh: DeviceMesh) -> Tensor:
    """`whole`, of which each rank of a mesh of one dimension keeps a copy of its rows alone."""
    placements = [Shard(0)]
    placed: Any = compute_local_shape_and_global_offset  # it has no types
    sizes, offsets = placed(whole.shape, mesh, placements)
    own = whole[offsets[0] : offsets[0] + sizes[0]].clone()
    return DTensor.from_local(
        own,
        mesh,
        placements,
        run_check=False,
        shape=whole.shape,
        stride=whole.stride(),
    )


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
