"""Reads safetensors row by row with plain reads: mapped pages would count as our own memory."""

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from _shared.arrays import Array
from _shared.protocol import JobError

ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Of the types whose values are read here."""
STORED_BYTES = {
    **ITEM_BYTES,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
}
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
METADATA = "__metadata__"
BLOCK_BYTES = 16 << 20
REPAIR = "download the file again"
LENGTH_BYTES = 8
"""At the beginning of a file: how long its header is."""
MOST_HEADER_BYTES = 100_000_000
"""The format's own limit. Source: safetensors, tensor.rs, MAX_HEADER_SIZE."""
MOST_NAME_BYTES = 255
"""Of a file, on any file system here."""


@dataclass(frozen=True)
class TensorFile:
    """One tensor's place: file, byte range, dtype and shape."""

    path: Path
    start: int
    stop: int
    dtype: str
    shape: tuple[int, ...]

    def read_blocks(self, *, rows_multiple: int = 1) -> Iterator[Array]:
        """The tensor as f32 (or f16, unchanged) blocks of whole rows, about BLOCK_BYTES each.

        Each block's row count is a multiple of `rows_multiple` (which divides the tensor's rows).
        """
        if len(self.shape) <= 1:
            for block in self._read_rows(1, self.shape, rows_multiple):
                yield block.reshape(self.shape)
            return
        rows, *row_shape = self.shape
        shape = tuple(row_shape)
        for block in self._read_rows(rows, shape, rows_multiple):
            yield block.reshape((-1, *row_shape))

    def _read_rows(
        self,
        rows: int,
        row_shape: tuple[int, ...],
        rows_multiple: int,
    ) -> Iterator[Array]:
        row_items = math.prod(row_shape)
        row_bytes = row_items * ITEM_BYTES[self.dtype]
        multiple_bytes = row_bytes * rows_multiple
        step = max(1, BLOCK_BYTES // multiple_bytes) * rows_multiple
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            for first in range(0, rows, step):
                count = min(step, rows - first)
                size_bytes = count * row_bytes
                raw = read_exactly(file, size_bytes, self.path)
                yield to_float(raw, self.dtype)


def read_exactly(
    file: Any,
    size: int,
    path: Path,
) -> bytearray:
    """From an unbuffered file, which gives what it likes at once."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    filled = 0
    while filled < size:
        got = file.readinto(view[filled:])
        if not got:
            raise JobError("UsageError", f"{path} is truncated", REPAIR)
        filled += got
    return buffer


def to_float(raw: bytearray, dtype: str) -> Array:
    """Flat f32, or f16 for F16."""
    if dtype == "F16":
        return np.frombuffer(raw, np.float16)
    if dtype == "BF16":
        halves = np.frombuffer(raw, np.uint16)
        wide = halves.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    if dtype == "F64":
        return np.frombuffer(raw, np.float64).astype(np.float32)
    return np.frombuffer(raw, np.float32)


def open_model(folder: Path) -> dict[str, TensorFile]:
    """Name -> place of every tensor in model.safetensors or its shards, all checked for length.

    Where both are there, Transformers reads the single file.
    """
    single = folder / SINGLE
    index = folder / INDEX
    names = [SINGLE]
    what = "weights"
    if index.exists() and not single.exists():
        names = _indexed(index)
        what = "shard"
    tensors: dict[str, TensorFile] = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            hint = f"only safetensors weights are read; {REPAIR}"
            raise JobError("UsageError", f"{what} missing: {path}", hint)
        tensors |= open_file(path)
    return tensors


def _indexed(index: Path) -> list[str]:
    """Names of files beside it. Raises: JobError for what is no index, or leads elsewhere."""
    try:
        names = {str(name) for name in json.loads(index.read_text())["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise JobError("UsageError", f"{index} is no index of tensors", REPAIR) from None
    for name in names:
        if not is_beside(name):
            message = f"{index} names {name[:60]!r}, outside of its folder"
            raise JobError("UsageError", message, REPAIR)
    return sorted(names)


def is_beside(name: str) -> bool:
    """Whether a file in the same folder can have this name."""
    is_plain = Path(name).name == name and "\0" not in name
    return is_plain and len(name.encode(errors="replace")) <= MOST_NAME_BYTES


def open_file(path: Path) -> dict[str, TensorFile]:
    """Name -> place of every tensor in one file, which they fill without overlap or gap.

    Raises: JobError for a file that the library of this format would not read either.
    """
    header, header_bytes = read_header(path)
    found = {}
    for name, entry in header.items():
        if name != METADATA:
            found[name] = _place(path, entry, header_bytes)
    size = path.stat().st_size
    at = header_bytes
    for place in sorted(found.values(), key=lambda place: (place.start, place.stop)):
        if place.stop > size:
            message = f"{path} is truncated: {size:,} of at least {place.stop:,} bytes"
            raise JobError("UsageError", message, REPAIR)
        if place.start != at:
            raise JobError("UsageError", f"{path}: its tensors overlap, or leave a gap", REPAIR)
        at = place.stop
    if at != size:
        raise JobError("UsageError", f"{path}: {size - at:,} bytes follow its last tensor", REPAIR)
    return found


def _place(path: Path, entry: Any, header_bytes: int) -> TensorFile:
    """Raises: JobError for numbers that cannot be true."""
    try:
        begin, end = entry["data_offsets"]
        shape = tuple(entry["shape"])
        dtype = entry["dtype"]
        numbers = (begin, end, *shape)
        are_numbers = all(type(each) is int and each >= 0 for each in numbers)
        item_bytes = STORED_BYTES.get(dtype)
    except (TypeError, KeyError, ValueError):
        are_numbers = False
    if not are_numbers:
        raise JobError("UsageError", f"{path} is no safetensors file", REPAIR)
    if item_bytes is not None and end - begin != math.prod(shape) * item_bytes:
        message = f"{path}: {end - begin:,} bytes are no {dtype} of shape {list(shape)}"
        raise JobError("UsageError", message, REPAIR)
    return TensorFile(path, header_bytes + begin, header_bytes + end, dtype, shape)


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header, and how many bytes it takes with its length."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(LENGTH_BYTES)
        length = size
        if len(head) == LENGTH_BYTES:
            (length,) = struct.unpack("<Q", head)
        if LENGTH_BYTES + length > size:
            message = f"{path} is truncated: {size:,} bytes do not hold its header"
            raise JobError("UsageError", message, REPAIR)
        if length > MOST_HEADER_BYTES:
            raise JobError("UsageError", f"{path} is no safetensors file", REPAIR)
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            header = None
    if not isinstance(header, dict):
        raise JobError("UsageError", f"{path} is no safetensors file", REPAIR)
    return header, LENGTH_BYTES + length
