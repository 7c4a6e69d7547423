"""A weight that two stages hold: the embedding of the first is the head of the last."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import distributed
from torch.distributed.device_mesh import DeviceMesh

from train.layout import local_part


class TiedNames(NamedTuple):
    """By which a model has its embedding, and its head."""

    embedding: str
    head: str


class Tied:
    """Its gradient is the sum of both stages'; the copies begin equal and get equal updates.

    second_name: that of the copy on this rank, if it is the second one.
    """

    def __init__(
        self,
        holder: Any,
        group: distributed.ProcessGroup,
        names: TiedNames,
        *,
        is_first: bool,
    ) -> None:
        self._holder = holder
        self._group = group
        self._names = names
        self.second_name = "" if is_first else names.head

    def sum_gradients(self) -> None:
        gradient = self._holder.weight.grad
        distributed.all_reduce(local_part(gradient), group=self._group)

    def whole_name(self, name: str) -> str:
        """By which one process's model has a weight of this rank."""
        return self._names.embedding if name == self.second_name else name


def tied_names(model: Any) -> TiedNames | None:
    """Of a whole model; None if its head has a weight of its own."""
    embedding = model.get_input_embeddings()
    head = model.get_output_embeddings()
    if head is None or head.weight is not embedding.weight:
        return None
    names = {module: name for name, module in model.named_modules()}
    return TiedNames(f"{names[embedding]}.weight", f"{names[head]}.weight")


def name_in_whole(tied: Tied | None) -> Callable[[str], str]:
    """From names of this rank's weights to those of one process's model."""
    return str if tied is None else tied.whole_name


def find_tied(model: Any, mesh: DeviceMesh, names: TiedNames | None) -> Tied | None:
    """The weight that this rank shares with the other end of its line, if it is at an end.

    Every rank calls it: all must know of every new group. `model` has been cut.
    """
    if names is None:
        return None
    found = None
    rank = distributed.get_rank()
    for line_R in mesh.mesh.T:
        first = int(line_R[0])
        last = int(line_R[-1])
        group: Any = distributed.new_group([first, last])
        if rank == first:
            found = Tied(model.get_input_embeddings(), group, names, is_first=True)
        if rank == last:
            found = Tied(model.get_output_embeddings(), group, names, is_first=False)
    return found
