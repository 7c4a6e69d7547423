"""The GGUF file that others are made of, where the user has no folder."""

from __future__ import annotations

from llmops_cli.core.errors import UsageError
from llmops_cli.models.gguf.parts import GgufModel, read_gguf
from llmops_cli.quantize.task import QuantizeTask


def first_file(task: QuantizeTask) -> GgufModel:
    """The model that is read. Raises: UsageError for a quantized one, unless that is wished."""
    model = read_gguf(task.source_path)
    if model.quantized_types and not task.recipe.allow_requantize:
        types = ", ".join(model.quantized_types)
        raise UsageError(
            f"{task.source.reference} is quantized already ({types}): doing so again adds to "
            "what it lost",
            hint="pass the original model, or --allow-requantize to compare with this file",
        )
    return model
