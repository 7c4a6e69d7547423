"""What the loop needs of a model that is spread over processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from _shared.protocol import JobError
from train.data.batch import Batch
from train.ranks import Ranks
from train.settings import Settings


class Share(NamedTuple):
    """Which part of every global batch a rank reads: part `number` of `parts` equal ones.

    Ranks that compute the same rows together (tensor or pipeline parallel) have the same share.
    """

    number: int
    parts: int

    @classmethod
    def of(cls, number: int, parts: int, settings: Settings) -> "Share":
        """Raises: JobError if the rows of a step cannot be cut into equal parts."""
        if settings.batch_size % parts:
            message = f"a batch of {settings.batch_size} cannot be cut into {parts} equal parts"
            raise JobError("UsageError", message, f"--batch-size, a multiple of {parts}")
        if settings.batch_size // parts < settings.accumulate:
            message = (
                f"each of {parts} ranks has {settings.batch_size // parts} rows, "
                f"fewer than its {settings.accumulate} micro-batches"
            )
            raise JobError("UsageError", message, "a larger --batch-size, or a lower --accumulate")
        return cls(number, parts)

    def rows(self, batch_size: int) -> range:
        each = batch_size // self.parts
        start = self.number * each
        return range(start, start + each)


class InForce(NamedTuple):
    """What really runs, read back from the model and its process groups, never from the wish."""

    strategy: str
    world_size: int
    mesh: dict[str, int]
    """Ranks along each dimension that parameters are spread over, outermost first."""
    parameter_dtype: str
    compute_dtype: str
    """Of what a forward pass's products of matrices return."""
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
        """One step of the optimizer at its rates times `factor`; the gradients are gone then.

        Left out if gradients in fp16 overflowed, which `clip` has found.
        """

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
