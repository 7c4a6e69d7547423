"""What ranks of a tensor parallel group exchange, forwards and backwards (arXiv:1909.08053).

`copied` and `summed` are f and g of that paper; `gathered` and `cut` are the same for columns.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.autograd import Function


class Group(NamedTuple):
    """The ranks that share a layer, and which of them this is."""

    ranks: distributed.ProcessGroup
    number: int
    size: int

    def bounds(self, total: int) -> tuple[int, int]:
        """Which of `total` columns or rows are here: even parts, the last ones shorter."""
        each = -(-total // self.size)
        start = min(self.number * each, total)
        return start, min(start + each, total)


def copied(x: Tensor, group: Group) -> Tensor:
    """The same here; its gradient is the sum of all ranks'."""
    return _applied(_Copied, x, group)


def summed(x: Tensor, group: Group) -> Tensor:
    """The sum over ranks; its gradient is the same on all of them."""
    return _applied(_Summed, x, group)


def gathered(x: Tensor, total: int, group: Group) -> Tensor:
    """All `total` columns (last dimension); of their gradient, each rank takes its own."""
    return _applied(_Gathered, x, total, group)


def cut(x: Tensor, group: Group) -> Tensor:
    """This rank's columns; their gradients are put together again."""
    return _applied(_Cut, x, group)


def _applied(function: Any, *arguments: Any) -> Tensor:
    """Function.apply has no types."""
    result: Tensor = function.apply(*arguments)
    return result


class _Copied(Function):
    @staticmethod
    def forward(context: Any, x: Tensor, group: Group) -> Tensor:
        context.group = group
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _sum(gradient, context.group), None


class _Summed(Function):
    @staticmethod
    def forward(context: Any, x: Tensor, group: Group) -> Tensor:
        del context
        return _sum(x, group)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        del context
        return gradient, None


class _Gathered(Function):
    @staticmethod
    def forward(context: Any, x: Tensor, total: int, group: Group) -> Tensor:
        context.group = group
        return _gather(x, total, group)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _own(gradient, context.group), None, None


class _Cut(Function):
    @staticmethod
    def forward(context: Any, x: Tensor, group: Group) -> Tensor:
        context.group = group
        context.total = x.shape[-1]
        return _own(x, group)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _gather(gradient, context.total, context.group), None


def _sum(x: Tensor, group: Group) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total, group=group.ranks)
    return total


def _own(x: Tensor, group: Group) -> Tensor:
    start, end = group.bounds(x.shape[-1])
    return x[..., start:end].contiguous()


def _gather(x: Tensor, total: int, group: Group) -> Tensor:
    """Parts are padded to the same width on their way, which collectives need."""
    width = -(-total // group.size)
    padded = torch.nn.functional.pad(x, (0, width - x.shape[-1])).contiguous()
    parts = [torch.empty_like(padded) for _ in range(group.size)]
    distributed.all_gather(parts, padded, group=group.ranks)
    whole = torch.cat(parts, dim=-1)
    # Never a view of it: FSDP hangs its hook on what the model returns.
    return whole if whole.shape[-1] == total else whole[..., :total].clone()
