"""Where a model's transformer blocks are."""

from typing import Any

from torch.nn import ModuleList

from _shared.protocol import JobError


def blocks_of(model: Any) -> ModuleList:
    """The list of blocks of a causal model of Transformers.

    Raises: JobError for a model that has none.
    """
    for child in model.base_model.children():
        if isinstance(child, ModuleList):
            return child
    message = f"{type(model).__name__} has no list of blocks that could be spread over ranks"
    raise JobError("UsageError", message, "--strategy single or ddp")
