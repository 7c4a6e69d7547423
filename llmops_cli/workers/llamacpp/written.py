"""What a GGUF file that was just written holds: its size in weights, and what did not fit.

The reader is that of the program's own `gguf`, whichever it imported.
"""

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from _shared.protocol import Json

BLOCK_ITEMS = 8 << 20
EXPONENTS = {
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
    "F32": (np.uint32, 0x7F800000),
}
"""Of a type, as whole numbers: all bits of the exponent, which infinity has, and no number."""


def figures_of(path: Path) -> Json:
    """Weights and their bytes."""
    parameters = 0
    tensor_bytes = 0
    for tensor in _tensors(path):
        shape = [int(size) for size in tensor.shape]
        parameters += math.prod(shape)
        tensor_bytes += int(tensor.n_bytes)
    return {"parameters": parameters, "tensor_bytes": tensor_bytes}


def tensors_beyond_f16(path: Path) -> list[str]:
    """Names of the F16 tensors that have an infinite value, or none at all."""
    return _not_finite(path, ("F16",))


def wide_without_numbers(path: Path) -> list[str]:
    """Names of the tensors of wider floats with an infinite value, or none at all."""
    return _not_finite(path, ("BF16", "F32"))


def _not_finite(path: Path, types: tuple[str, ...]) -> list[str]:
    found = []
    for tensor in _tensors(path):
        kind = tensor.tensor_type.name
        if kind in types and not _is_finite(tensor.data, kind):
            found.append(str(tensor.name))
    return found


def _tensors(path: Path) -> Any:  # Any: of one copy of gguf or the other
    gguf = importlib.import_module("gguf")
    return gguf.GGUFReader(str(path)).tensors


def _is_finite(values: Any, kind: str) -> bool:  # Any: a mapped array
    width, exponent = EXPONENTS[kind]
    bits = values.reshape(-1).view(width)
    for start in range(0, len(bits), BLOCK_ITEMS):
        block = bits[start : start + BLOCK_ITEMS]
        if np.any((block & width(exponent)) == exponent):
            return False
    return True
