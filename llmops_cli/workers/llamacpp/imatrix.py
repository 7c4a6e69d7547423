"""Importance matrices as llama.cpp's quantizer takes them, from GGUF and legacy .dat files."""

import ctypes
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import gguf
import llama_cpp
import numpy as np

from _shared.arrays import Floats
from _shared.protocol import JobError, Json
from llamacpp.gguf_file import GgufFile
from llamacpp.notices import MATRIX_LACKS, Notice

MOST_ENTRIES = 1_000_000
IN_LAYERS = "blk."
"""How names begin of tensors that every matrix has; embeddings and output are often left out."""

Importance = dict[str, Floats]
"""Tensor name -> mean squared input per column, flattened over experts."""


def importance_of(job: Json) -> Importance | None:
    """Of the job's model; None where the job names no matrix.

    Raises: JobError for a file that is no importance matrix, or one of another model.
    """
    if not job.get("imatrix"):
        return None
    path = Path(job["imatrix"])
    entries = read_imatrix(path)
    require_same_model(entries, GgufFile(Path(job["model"])).tensors, path)
    return entries


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
    reader = gguf.GGUFReader(path)
    values = {}
    for tensor in reader.tensors:
        values[tensor.name] = np.array(tensor.data, np.float32)
    found = {}
    for name, sums in values.items():
        if name.endswith(".in_sum2"):
            matrix = name.removesuffix(".in_sum2")
            found[matrix] = _means(sums, values[f"{matrix}.counts"])
    if not found:
        raise ValueError("no .in_sum2 tensors")
    return found


def _means(sums: Floats, counts: Floats) -> Floats:
    """Of each column; 1 for all columns of an expert that no text has reached, as llama.cpp has it.

    Zeros would say that nothing of its weights matters.
    """
    means = np.where(counts > 0, sums / np.maximum(counts, 1), 1)
    return means.astype(np.float32).ravel()


def _read_dat(path: Path) -> Importance:
    with path.open("rb") as file:
        count = _read_int(file)
        if not 0 < count < MOST_ENTRIES:
            raise ValueError("bad entry count")
        entries = (_read_dat_entry(file) for _ in range(count))
        return dict(entries)


def _read_dat_entry(file: IO[bytes]) -> tuple[str, Floats]:
    length = _read_int(file)
    name = file.read(length).decode()
    calls = _read_int(file)
    columns = _read_int(file)
    raw = file.read(4 * columns)
    sums = np.frombuffer(raw, np.float32)
    divisor = np.float32(max(calls, 1))
    return name, sums / divisor


def _read_int(file: IO[bytes]) -> int:
    raw = file.read(4)
    (value,) = struct.unpack("<i", raw)
    return int(value)


def require_same_model(
    entries: Importance,
    names: Iterable[str],
    path: Path,
) -> None:
    """Raises: JobError for a matrix that has none of these tensors: llama.cpp would say nothing."""
    if entries.keys().isdisjoint(names):
        example = next(iter(entries))
        message = f"{path} is of another model: it has none of its tensors, but {example!r:.60}"
        raise JobError("UsageError", message, "--imatrix auto, or a matrix of this model")


def lacking_notice(entries: Importance, quantized: Iterable[str]) -> Notice | None:
    """Of tensors that were quantized in layers, and of which the matrix says nothing."""
    in_layers = [name for name in quantized if name.startswith(IN_LAYERS)]
    lacking = [name for name in in_layers if name not in entries]
    if not lacking:
        return None
    text = (
        f"its importance matrix says nothing of {len(lacking)} of {len(in_layers)} tensors, "
        f"such as {lacking[0]}: they are rounded without one"
    )
    return Notice(MATRIX_LACKS, text)


class ImatrixArray:
    """A C array of the entries, ended by one without a name; must outlive its use."""

    def __init__(self, entries: Importance) -> None:
        room = len(entries) + 1  # the last stays empty: it is the end
        array_type = llama_cpp.llama_model_imatrix_data * room
        float_pointer = ctypes.POINTER(ctypes.c_float)
        self._array = array_type()
        self._kept: list[Floats] = []
        for slot, name in zip(self._array, entries, strict=False):
            found = entries[name]
            values = np.ascontiguousarray(found, np.float32)
            slot.name = name.encode()
            slot.size = values.size
            slot.data = values.ctypes.data_as(float_pointer)
            self._kept.append(values)

    def pointer(self) -> Any:
        pointer = ctypes.POINTER(llama_cpp.llama_model_imatrix_data)
        return ctypes.cast(self._array, pointer)
