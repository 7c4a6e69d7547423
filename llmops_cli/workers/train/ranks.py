"""The processes of a run: which one this is, what it computes on, how it speaks with the others."""

import os
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
from torch import distributed

Value = TypeVar("Value")
JOIN_TIMEOUT = timedelta(minutes=10)


class Ranks(NamedTuple):
    """This process among all of them."""

    rank: int
    world_size: int
    local_rank: int
    device: torch.device
    local_world_size: int = 1
    """Processes on this machine."""

    @property
    def is_first(self) -> bool:
        return self.rank == 0


def join() -> Ranks:
    """Meets the other processes that a launcher started; an empty RANK says that there are none."""
    rank = int(os.environ.get("RANK") or "0")
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    device = _device(local_rank)
    if os.environ.get("RANK"):
        distributed.init_process_group(_backend(device), timeout=JOIN_TIMEOUT)
    return Ranks(rank, world_size, local_rank, device, local_world_size)


def leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def share_value(
    ranks: Ranks,
    value: Value,
    group: distributed.ProcessGroup | None = None,
) -> Value:
    """The first rank's value, on every rank."""
    if ranks.world_size == 1:
        return value
    values: list[Any] = [value]
    distributed.broadcast_object_list(values, src=0, group=group, device=torch.device("cpu"))
    shared: Value = values[0]
    return shared


def gather_values(ranks: Ranks, value: Value) -> list[Value]:
    """Every rank's value, in their order, on every rank."""
    if ranks.world_size == 1:
        return [value]
    values: list[Any] = [None] * ranks.world_size
    distributed.all_gather_object(values, value)
    return values


def most_of(ranks: Ranks, values: list[int]) -> list[int]:
    """The largest of each value over all ranks, the same on every one."""
    if ranks.world_size == 1:
        return values
    most = torch.tensor(values, dtype=torch.int64)
    distributed.all_reduce(most, op=distributed.ReduceOp.MAX)
    return most.tolist()


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def _backend(device: torch.device) -> str:
    """Both on a GPU: tensors in main memory (checkpoints, counts) need gloo."""
    if device.type == "cuda":
        return "cuda:nccl,cpu:gloo"
    return "gloo"
