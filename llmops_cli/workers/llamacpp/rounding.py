"""What ggml's types make of a matrix: quantized and read back in memory. Needs llama_cpp and numpy.

Shapes: O rows, I columns.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from llama_cpp._ggml import libggml

from _shared.arrays import Floats

FLOAT_POINTER = ctypes.POINTER(ctypes.c_float)
TASK_WEIGHTS = 1 << 18
"""So many weights are one thread's task."""

libggml.ggml_quantize_chunk.restype = ctypes.c_size_t
libggml.ggml_quantize_chunk.argtypes = (
    ctypes.c_int,
    FLOAT_POINTER,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    FLOAT_POINTER,
)


class Rounder:
    """One type of ggml's."""

    def __init__(self, type_name: str, *, threads: int) -> None:
        self._name = type_name
        self._number = int(GGMLQuantizationType[type_name])
        self._dequantize = _dequantizer(type_name)
        self._threads = threads

    def rounded(self, w_OI: Floats, importance_I: Floats | None) -> Floats:
        """The matrix as it is after quantization."""
        rows, columns = w_OI.shape
        task_rows = max(1, TASK_WEIGHTS // columns)
        rounded_OI = np.empty((rows, columns), np.float32)

        def work(start: int) -> None:
            stop = start + task_rows
            part_OI = np.ascontiguousarray(w_OI[start:stop], np.float32)
            rounded_OI[start:stop] = self._part(part_OI, importance_I)

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(work, range(0, rows, task_rows)):
                pass
        return rounded_OI

    def _part(self, w_OI: Floats, importance_I: Floats | None) -> Floats:
        rows, columns = w_OI.shape
        packed = ctypes.create_string_buffer(rows * row_bytes(self._name, columns))
        importance = None
        if importance_I is not None:
            importance = importance_I.ctypes.data_as(FLOAT_POINTER)
        source = w_OI.ctypes.data_as(FLOAT_POINTER)
        libggml.ggml_quantize_chunk(self._number, source, packed, 0, rows, columns, importance)
        rounded_OI = np.empty_like(w_OI)
        target = rounded_OI.ctypes.data_as(FLOAT_POINTER)
        self._dequantize(packed, target, w_OI.size)
        return rounded_OI


class ErrorSum:
    """The squared error of rounding, weighted by what passes through each column."""

    def __init__(self) -> None:
        self._error = 0.0
        self._whole = 0.0

    def add(self, w_OI: Floats, rounded_OI: Floats, importance_I: Floats | None) -> None:
        off_OI = w_OI - rounded_OI
        self._error += _weighted(off_OI, importance_I)
        self._whole += _weighted(w_OI, importance_I)

    def share(self) -> float:
        """Of the weighted square of the matrix itself; 0 for one without weights."""
        if self._whole == 0:
            return 0.0
        return self._error / self._whole


def _weighted(w_OI: Floats, importance_I: Floats | None) -> float:
    squares_I = np.einsum("oi,oi->i", w_OI, w_OI, dtype=np.float64)
    if importance_I is not None:
        squares_I *= importance_I
    return float(squares_I.sum())


def divides(type_name: str, columns: int) -> bool:
    """Whether a row of so many columns can have this type."""
    block, _ = GGML_QUANT_SIZES[GGMLQuantizationType[type_name]]
    return columns % block == 0


def row_bytes(type_name: str, columns: int) -> int:
    block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[type_name]]
    return columns // block * block_bytes


def bits_of(type_name: str) -> float:
    """Of a weight, with its share of scales."""
    block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[type_name]]
    return block_bytes * 8 / block


def _dequantizer(type_name: str) -> Any:  # Any: a function of a C library
    """The C function for rows of this type, such as dequantize_row_q4_K."""
    lower = type_name.lower()
    if lower.endswith("_k"):
        lower = lower.removesuffix("k") + "K"
    found = libggml[f"dequantize_row_{lower}"]
    found.restype = None
    found.argtypes = (ctypes.c_void_p, FLOAT_POINTER, ctypes.c_int64)
    return found
