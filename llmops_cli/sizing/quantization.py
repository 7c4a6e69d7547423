"""What quantizing a model will take, in bytes of disk and memory, before any of it is spent."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

FLOAT_BITS = {"F32": 32.0, "F16": 16.0, "BF16": 16.0}
SCALE_BITS = 1.0
"""A generous share of scales, zero points and layers that stay as they are, for each weight."""
UNKNOWN_BITS = 8.0
BASE_BITS = 16
LIBRARIES_BYTES = 1 << 30
"""What a Python with torch holds before any model."""
DISK_MARGIN = 1.05
MATRIX_MARGIN = 1.1
WEIGHTS_MARGIN = 1.3
FLOAT32_BYTES = 4
KEPT_ACTIVATIONS = 3
"""Copies of every sample's hidden states: a layer's input, output, and unquantized output."""
KEPT_HESSIANS = 3
"""Square matrices over the widest input: the Hessian, its inverse, and the Cholesky factor."""
FOLDER_EXTRAS = 0.25
"""Embeddings and heads that stay, as a share of the base."""


class RoomNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """What work that is not done yet will need."""

    disk_bytes: float = 0.0
    memory_bytes: float = 0.0


class FolderMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What decides the memory of quantizing a folder. Shapes: a hidden state is (hidden_size,)."""

    weights_bytes: int
    hidden_size: int
    intermediate_size: int
    calibration_tokens: int
    has_hessian: bool
    in_float32: bool
    copies: int


def nominal_bits(scheme: str) -> float:
    """A generous size per weight: the number in a GGUF type's name, plus scales."""
    if scheme in FLOAT_BITS:
        return FLOAT_BITS[scheme]
    for char in scheme:
        if char.isdigit():
            return float(char) + SCALE_BITS
    return UNKNOWN_BITS + SCALE_BITS


def gguf_forecast(
    base_bytes: int,
    schemes: Sequence[str],
    *,
    converts_base: bool,
    computes_matrix: bool,
) -> RoomNeeded:
    """A 16-bit base first where there is none, then each scheme at its nominal bits.

    Memory is the importance matrix's, whose model is whole in memory; llama.cpp maps files.
    """
    disk_bytes = float(base_bytes) if converts_base else 0.0
    for scheme in schemes:
        disk_bytes += base_bytes * nominal_bits(scheme) / BASE_BITS
    memory_bytes = 0.0
    if computes_matrix:
        memory_bytes = base_bytes * MATRIX_MARGIN + LIBRARIES_BYTES
    return RoomNeeded(disk_bytes=disk_bytes * DISK_MARGIN, memory_bytes=memory_bytes)


def folder_disk_bytes(base_bytes: int, bits: Sequence[int]) -> float:
    """Disk for one folder of each number of bits."""
    if not bits:
        return 0.0
    weights = sum(base_bytes * (each + SCALE_BITS) / BASE_BITS for each in bits)
    return weights + base_bytes * FOLDER_EXTRAS


def folder_memory_bytes(work: FolderMemory) -> int:
    """Peak: the weights, what is worked on, and what calibration keeps of every sample."""
    activations = KEPT_ACTIVATIONS * work.calibration_tokens * work.hidden_size * FLOAT32_BYTES
    hessians = 0
    if work.has_hessian:
        hessians = KEPT_HESSIANS * work.intermediate_size**2 * FLOAT32_BYTES
    wider = 2 if work.in_float32 else 1
    weights = int(work.weights_bytes * max(wider, work.copies) * WEIGHTS_MARGIN)
    return weights + activations + hessians + LIBRARIES_BYTES
