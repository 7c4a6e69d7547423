"""How many weights an artifact really keeps in few bits, by the tensors on disk."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _shared.protocol import JobError
from _shared.safetensors import open_file
from quantize.plan import Plan

PLAIN = frozenset({"F64", "F32", "F16", "BF16"})
BESIDE_WEIGHTS = ("scale", "zero", "absmax", "quant_map", "g_idx", "rotation", "hadamard")
"""Parts of names of what belongs to a quantized matrix and is no weight."""


def quantized_weights(
    folder: Path,
    plan: Plan,
    model: Any,
) -> int:
    """Of the plan's weights, those that no longer lie there as plain floating point.

    `model` is the source's, by shapes. Embeddings and the output matrix do not count.
    """
    kept = 0
    chosen = plan.weights
    outside = _ends_outside(model)
    for name, parameter in model.named_parameters():
        if parameter.dim() >= 2 and not _is_outside(name, outside):
            kept += parameter.numel()
    kept -= chosen
    plain = sum(_plain_weights(path, outside) for path in sorted(folder.glob("*.safetensors")))
    left = max(plain - kept, 0)
    return max(chosen - left, 0)


def require_some(
    count: int,
    plan: Plan,
    library: str,
) -> None:
    """Raises: JobError if a library wrote a model in which nothing was quantized."""
    if plan.weights and not count:
        raise JobError(
            "EngineFailed",
            f"{library} quantized none of {plan.weights:,} weights",
            "another --engine or --method",
        )


def _plain_weights(path: Path, outside: Sequence[str]) -> int:
    total = 0
    for name, place in open_file(path).items():
        is_beside = any(part in name for part in BESIDE_WEIGHTS)
        is_matrix = len(place.shape) >= 2 and place.dtype in PLAIN
        if is_matrix and not is_beside and not _is_outside(name, outside):
            total += math.prod(place.shape)
    return total


def _ends_outside(model: Any) -> list[str]:
    """How names of embeddings end: they may be tied in one file and not in the other."""
    ends = ["lm_head"]
    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        for name, candidate in model.named_modules():
            if candidate is module:
                ends.append(name.rpartition(".")[2])
    return ends


def _is_outside(name: str, ends: Sequence[str]) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and parts[-2] in ends
