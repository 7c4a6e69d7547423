"""What the loop needs of a model that is spread over processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from train.data.batch import Batch
from train.ranks import Ranks
from train.settings import Settings


class Share(NamedTuple):
    """Which part of every global batch a rank reads: part `number` of `parts` equal ones.

    Ranks that compute the same rows together (tensor or pipeline parallel) have the same share.
    """

    number: int
    parts: int

    def rows(self, batch_size: int) -> range:
        each = batch_size // self.parts
        start = self.number * each
        return range(start, start + each)


class InForce(NamedTuple):
    """What really runs, read back from the model and its process groups, never from the wish."""

    strategy: str
    world_size: int
    parameter_dtype: str
    compute_dtype: str
    local_parameters: int
    """Elements of parameters that this rank holds."""


class Strategy(Protocol):
    """A model and its optimizer, spread over ranks."""

    model: Any
    """The module whose parameters this rank holds, whole or in part."""
    share: Share

    def gradients(self, batch: Batch, total_weight: float) -> float:
        """Adds the gradients of the weighted losses of all rows over `total_weight`.

        `batch` has the rows of this rank's share; returns their sum of weighted losses.
        """

    def clip(self, most: float) -> float:
        """The norm of the gradients of all parameters, before they are scaled to at most `most`.

        0 for `most`: they stay.
        """

    def update(self, factor: float) -> None:
        """One step of the optimizer at its rates times `factor`; the gradients are gone then."""

    def drop_gradients(self) -> None:
        """The gradients are gone, and nothing else has changed: the step is skipped."""

    def sum_over_shares(self, values: list[float]) -> list[float]:
        """Each value summed over the shares of the global batch; the same on every rank."""

    def losses(self, batch: Batch) -> float:
        """The sum of weighted losses of these rows without gradients (evaluation)."""

    def state(self) -> dict[str, Any]:
        """Model and optimizer for torch.distributed.checkpoint: whole names, sharded tensors."""

    def restore(self, state: dict[str, Any]) -> None:
        """Takes what `state` of this layout was filled with by torch.distributed.checkpoint."""

    def save_model(self, folder: Path) -> None:
        """Weights as Hugging Face safetensors, by all ranks, never whole on one of them."""

    def in_force(self) -> InForce: ...


Build = Callable[[Any, Settings, Ranks], Strategy]
"""A model on every rank, or on the meta device where the strategy says so, becomes a Strategy."""
