"""Importance matrices as llama.cpp's quantizer takes them, from GGUF and legacy .dat files."""

import ctypes
import struct
from pathlib import Path
from typing import IO, Any

import gguf
import llama_cpp
import numpy as np

from _shared.arrays import Floats
from _shared.protocol import JobError

MOST_ENTRIES = 1_000_000

Importance = dict[str, Floats]
"""Tensor name -> mean squared input per column, flattened over experts."""


def read_imatrix(path: Path) -> Importance:
    """Raises: JobError for a file that is none."""
    with path.open("rb") as file:
        is_gguf = file.read(4) == b"GGUF"
    try:
        return _read_gguf(path) if is_gguf else _read_dat(path)
    except (ValueError, struct.error, KeyError) as error:
        message = f"{path} is no importance matrix: {error}"
        raise JobError("UsageError", message, "a file from llmops or llama-imatrix") from None


def _read_gguf(path: Path) -> Importance:
    tensors = gguf.GGUFReader(path).tensors
    values = {tensor.name: np.array(tensor.data, np.float32) for tensor in tensors}
    found = {}
    for name, sums in values.items():
        if name.endswith(".in_sum2"):
            matrix = name.removesuffix(".in_sum2")
            counts = np.maximum(values[f"{matrix}.counts"], 1)
            found[matrix] = (sums / counts).ravel().astype(np.float32)
    if not found:
        raise ValueError("no .in_sum2 tensors")
    return found


def _read_dat(path: Path) -> Importance:
    with path.open("rb") as file:
        count = _read_int(file)
        if not 0 < count < MOST_ENTRIES:
            raise ValueError("bad entry count")
        return dict(_read_dat_entry(file) for _ in range(count))


def _read_dat_entry(file: IO[bytes]) -> tuple[str, Floats]:
    name = file.read(_read_int(file)).decode()
    calls = _read_int(file)
    columns = _read_int(file)
    sums = np.frombuffer(file.read(4 * columns), np.float32)
    return name, sums / np.float32(max(calls, 1))


def _read_int(file: IO[bytes]) -> int:
    (value,) = struct.unpack("<i", file.read(4))
    return int(value)


class ImatrixArray:
    """A C array of the entries, ended by one without a name; must outlive its use."""

    def __init__(self, entries: Importance) -> None:
        self._array = (llama_cpp.llama_model_imatrix_data * (len(entries) + 1))()
        self._kept: list[Floats] = []
        for slot, (name, values) in zip(self._array, entries.items(), strict=False):
            values = np.ascontiguousarray(values, np.float32)
            slot.name = name.encode()
            slot.size = values.size
            slot.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            self._kept.append(values)

    def pointer(self) -> Any:
        return ctypes.cast(self._array, ctypes.POINTER(llama_cpp.llama_model_imatrix_data))
