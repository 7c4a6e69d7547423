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
F16_EXPONENT = 0x7C00
"""All bits of the exponent: infinity, or no number."""


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
    narrow = [tensor for tensor in _tensors(path) if tensor.tensor_type.name == "F16"]
    return [str(tensor.name) for tensor in narrow if not _is_finite(tensor.data)]


def _tensors(path: Path) -> Any:  # Any: of one copy of gguf or the other
    gguf = importlib.import_module("gguf")
    return gguf.GGUFReader(str(path)).tensors


def _is_finite(values: Any) -> bool:  # Any: a mapped array of two dimensions or more
    bits = values.reshape(-1).view(np.uint16)
    for start in range(0, len(bits), BLOCK_ITEMS):
        block = bits[start : start + BLOCK_ITEMS]
        if np.any((block & F16_EXPONENT) == F16_EXPONENT):
            return False
    return True
