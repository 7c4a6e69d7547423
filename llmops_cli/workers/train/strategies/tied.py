"""A weight that two stages hold: the embedding of the first is the head of the last."""

from typing import Any

from torch import Tensor, distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor
from torch.nn import Parameter


class Tied:
    """Its gradient is the sum of both stages'; the copies begin equal and get equal updates."""

    def __init__(
        self,
        holder: Any,
        group: distributed.ProcessGroup,
        *,
        is_first: bool,
    ) -> None:
        self._holder = holder
        self._group = group
        self._is_first = is_first

    def sum_gradients(self) -> None:
        gradient = self._holder.weight.grad
        distributed.all_reduce(local(gradient), group=self._group)

    def is_elsewhere(self, parameter: Parameter) -> bool:
        """Whether this is the second copy, which norms and files leave to the first stage."""
        return not self._is_first and parameter is self._holder.weight


def find_tied(model: Any, mesh: DeviceMesh) -> Tied | None:
    """The weight that this rank shares with the other end of its line, if it is at an end.

    Every rank calls it: all must know of every new group. `model` has been cut.
    """
    found = None
    rank = distributed.get_rank()
    for line_R in mesh.mesh.T:
        first = int(line_R[0])
        last = int(line_R[-1])
        group: Any = distributed.new_group([first, last])
        if rank == first:
            found = Tied(model.get_input_embeddings(), group, is_first=True)
        if rank == last:
            found = Tied(model.get_output_embeddings(), group, is_first=False)
    return found


def is_tied(model: Any) -> bool:
    """Of a whole model."""
    head = model.get_output_embeddings()
    return head is not None and head.weight is model.get_input_embeddings().weight


def local(tensor: Tensor) -> Tensor:
    """What this rank has of it."""
    if isinstance(tensor, DTensor):
        return tensor.to_local()
    return tensor
