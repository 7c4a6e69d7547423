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

ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
BLOCK_BYTES = 16 << 20
REPAIR = "download the file again"
LENGTH_BYTES = 8
"""At the beginning of a file: how long its header is."""


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
    return np.frombuffer(raw, np.float32)


def open_model(folder: Path) -> dict[str, TensorFile]:
    """Name -> place of every tensor in model.safetensors or its shards, all checked for length."""
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    what = "weights"
    if index.exists():
        content = json.loads(index.read_text())
        shards = set(content["weight_map"].values())
        names = sorted(shards)
        what = "shard"
    tensors: dict[str, TensorFile] = {}
    for name in names:
        path = folder / name
        if not path.exists():
            hint = f"only safetensors weights are read; {REPAIR}"
            raise JobError("UsageError", f"{what} missing: {path}", hint)
        tensors |= open_file(path)
    return tensors


def open_file(path: Path) -> dict[str, TensorFile]:
    """Name -> place of every tensor in one file."""
    header, header_bytes = read_header(path)
    size = path.stat().st_size
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        start = header_bytes + begin
        stop = header_bytes + end
        if stop > size:
            message = f"{path} is truncated: {size:,} of at least {stop:,} bytes"
            raise JobError("UsageError", message, REPAIR)
        shape = tuple(entry["shape"])
        dtype = entry["dtype"]
        found[name] = TensorFile(path, start, stop, dtype, shape)
    return found


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
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise JobError("UsageError", f"{path} is no safetensors file", REPAIR) from None
    return dict(header), LENGTH_BYTES + length
