"""Options that a recipe takes from other trainers' files, where nobody gave ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmops_cli.runtime.paths import at_home

if TYPE_CHECKING:
    from llmops_cli.train.foreign import Foreign

Values = dict[str, object]
Origins = dict[str, str]


def take_from_files(values: Values, origins: Origins) -> None:
    """Each field with FILE:LINE as its origin.

    Raises: UsageError with file, line and key of what has no counterpart here.
    """
    for found in _files(values):
        for field, value in found.values.items():
            if origins.get(field, "default") == "default":
                values[field] = value
                origins[field] = found.origins[field]


def notes_of(values: Values) -> Iterator[str]:
    """Keys that were left out, as they change no result."""
    for found in _files(values):
        yield from found.notes


def _files(values: Values) -> Iterator[Foreign]:
    """Their readers are loaded where there is a file: a command's help needs none."""
    accelerate = values.get("accelerate")
    if accelerate:
        from llmops_cli.train.foreign import read_accelerate

        yield read_accelerate(str(accelerate))
    deepspeed = values.get("deepspeed")
    if deepspeed:
        from llmops_cli.train.foreign import read_deepspeed

        yield read_deepspeed(str(deepspeed), ranks=_ranks(values))


def _ranks(values: Values) -> int | None:
    """None where nobody said how many."""
    numbers = [str(values.get(name) or 1) for name in ("nproc", "nnodes")]
    if not values.get("nproc") or not all(number.isdigit() for number in numbers):
        return None
    nproc, nnodes = (int(number) for number in numbers)
    return nproc * nnodes


def refuse_no_model(reference: str) -> None:
    """Raises: UsageError for what is at the path and is nothing that can be trained further."""
    from llmops_cli.train.foreign import refuse_checkpoint
    from llmops_cli.train.foreign.weights import refuse_file, refuse_weights

    place = at_home(reference)
    if place.is_file():
        refuse_file(place)
    if place.is_dir():
        refuse_checkpoint(place)
        refuse_weights(place)
