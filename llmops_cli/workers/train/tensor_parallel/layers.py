"""A layer of a model that computes with its part of the weights, by the styles of Transformers.

Weights become DTensors, so that checkpoints, exports and FSDP know what part this is; the layer
itself computes with plain tensors and the collectives that its style needs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.nn import Embedding, Linear, Module, Parameter
from transformers.pytorch_utils import Conv1D

from _shared.protocol import JobError
from train.layout import is_spread
from train.tensor_parallel.collectives import Group, copied, cut, gathered, summed

Used = Callable[[Tensor], Tensor]
"""From a parameter as it is held to what the layer computes with."""


class Cutter:
    """Cuts parameters over a mesh; one that several layers share stays one."""

    def __init__(self, mesh: DeviceMesh) -> None:
        self._mesh = mesh
        self._made: dict[int, Parameter] = {}
        # An id is that of another tensor once its own is gone.
        self._kept: list[Tensor] = []
        self.group = Group(mesh.get_group(), mesh.get_local_rank(), mesh.size())

    def cut(self, module: Module, name: str, dimension: int) -> None:
        parameter = module._parameters.get(name)  # noqa: SLF001  the setter would refuse a DTensor
        if parameter is None or is_spread(parameter):
            return
        if id(parameter) not in self._made:
            spread = distribute_tensor(
                parameter.detach(), self._mesh, [Shard(dimension)], src_data_rank=None
            )
            self._made[id(parameter)] = Parameter(spread, requires_grad=parameter.requires_grad)
            self._kept.append(parameter)
        module._parameters[name] = self._made[id(parameter)]  # noqa: SLF001


def cut_columns(module: Module, cutter: Cutter, *, gathers: bool) -> None:
    """Each rank computes some of the layer's outputs; with `gathers` all have all of them."""
    total = _outputs(module)
    dimension = 1 if isinstance(module, Conv1D) else 0
    cutter.cut(module, "weight", dimension)
    cutter.cut(module, "bias", 0)
    group = cutter.group
    start, end = group.bounds(total)
    if isinstance(module, Conv1D):
        module.nf = end - start
    original = module.forward

    def forward(x: Tensor) -> Tensor:
        with using(module, _local):
            own: Tensor = original(copied(x, group))
        return gathered(own, total, group) if gathers else own

    _replace_forward(module, forward)


def cut_rows(module: Module, cutter: Cutter, *, splits: bool) -> None:
    """Each rank computes with some of the layer's inputs, and the results are summed.

    splits: every rank is given all inputs.
    """
    dimension = 0 if isinstance(module, Conv1D) else 1
    cutter.cut(module, "weight", dimension)
    group = cutter.group
    original = module.forward

    def forward(x: Tensor) -> Tensor:
        own_x = cut(x, group) if splits else x
        with using(module, _local, bias=torch.zeros_like):
            part: Tensor = original(own_x)
        total = summed(part, group)
        bias: Any = module.bias
        return total if bias is None else total + bias

    _replace_forward(module, forward)


def cut_vocabulary(module: Embedding, cutter: Cutter) -> None:
    """Each rank has the vectors of some tokens, and the others' come from the others."""
    group = cutter.group
    start, end = group.bounds(module.num_embeddings)
    cutter.cut(module, "weight", 0)
    padding = module.padding_idx
    is_here = padding is not None and start <= padding < end
    module.padding_idx = padding - start if padding is not None and is_here else None
    original = module.forward

    def forward(ids_BT: Tensor) -> Tensor:
        is_own_BT = (ids_BT >= start) & (ids_BT < end)
        own_ids_BT = torch.where(is_own_BT, ids_BT - start, 0)
        with using(module, _local):
            vectors_BTD: Tensor = original(own_ids_BT)
        return summed(vectors_BTD * is_own_BT.unsqueeze(-1), group)

    _replace_forward(module, forward)


def sum_gradient(module: Module, cutter: Cutter) -> None:
    """Every rank has all of the weight, and uses it for its own heads only (q and k norms)."""
    group = cutter.group
    original = module.forward

    def forward(x: Tensor) -> Tensor:
        with using(module, lambda parameter: copied(parameter, group)):
            result: Tensor = original(x)
        return result

    _replace_forward(module, forward)


@contextmanager
def using(module: Module, used: Used, *, bias: Used | None = None) -> Iterator[None]:
    """The module's parameters are what `used` (for a bias `bias`) makes of them, meanwhile."""
    held = dict(module._parameters)  # noqa: SLF001
    for name, parameter in held.items():
        if parameter is not None:
            make = bias if name == "bias" and bias is not None else used
            module._parameters[name] = make(parameter)  # type: ignore[assignment]  # noqa: SLF001
    try:
        yield
    finally:
        module._parameters.update(held)  # noqa: SLF001


def _local(parameter: Tensor) -> Tensor:
    return parameter.to_local() if is_spread(parameter) else parameter


def _replace_forward(module: Module, forward: Callable[[Tensor], Tensor]) -> None:
    replaceable: Any = module  # a method is assigned
    replaceable.forward = forward


def _outputs(module: Module) -> int:
    """Raises: JobError for a layer that is no product of matrices."""
    if isinstance(module, Conv1D):
        return int(module.nf)
    if isinstance(module, Linear):
        return module.out_features
    message = f"a layer of type {type(module).__name__} cannot be cut over ranks"
    raise JobError("UsageError", message, "--strategy fsdp")
