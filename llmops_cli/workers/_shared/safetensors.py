"""Reads safetensors row by row with plain reads: mapped pages would count as this process's
memory.
"""

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from _shared.protocol import JobError

ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
BLOCK_BYTES = 16 << 20
REPAIR = "download the file again"


class TensorFile:
    """One tensor's place: file, byte range, dtype and shape."""

    def __init__(
        self, path: Path, start: int, stop: int, dtype: str, shape: tuple[int, ...]
    ) -> None:
        self.path = path
        self.start = start
        self.stop = stop
        self.dtype = dtype
        self.shape = shape

    def read_blocks(self, *, rows_multiple: int = 1) -> Iterator[np.ndarray]:
        """The tensor as f32 (or f16, unchanged) blocks of whole rows, about BLOCK_BYTES each.

        Each block's row count is a multiple of `rows_multiple` (which divides the tensor's rows).
        """
        rows = self.shape[0] if len(self.shape) > 1 else 1
        row_items = math.prod(self.shape) // rows
        row_bytes = row_items * ITEM_BYTES[self.dtype]
        step = max(1, BLOCK_BYTES // (row_bytes * rows_multiple)) * rows_multiple
        tail = self.shape[1:] if len(self.shape) > 1 else self.shape
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            for first in range(0, rows, step):
                count = min(step, rows - first)
                raw = read_exactly(file, count * row_bytes, self.path)
                block = to_float(raw, self.dtype)
                yield block.reshape((count, *tail) if len(self.shape) > 1 else tail)


def read_exactly(file: object, size: int, path: Path) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    filled = 0
    while filled < size:
        got = file.readinto(view[filled:])
        if not got:
            raise JobError("UsageError", f"{path} is truncated", REPAIR)
        filled += got
    return buffer


def to_float(raw: bytearray, dtype: str) -> np.ndarray:
    """Flat f32, or f16 for F16."""
    if dtype == "BF16":
        wide = np.frombuffer(raw, np.uint16).astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    return np.frombuffer(raw, np.float16 if dtype == "F16" else np.float32)


def open_model(folder: Path) -> dict[str, TensorFile]:
    """Name -> place of every tensor in a folder's model.safetensors, or its shards, all checked
    against file sizes.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    else:
        names = ["model.safetensors"]
    tensors: dict[str, TensorFile] = {}
    for name in names:
        path = folder / name
        if not path.exists():
            what = "shard" if index.exists() else "weights"
            raise JobError(
                "UsageError",
                f"{what} missing: {path}",
                "only safetensors weights are read; " + REPAIR,
            )
        tensors |= open_file(path)
    return tensors


def open_file(path: Path) -> dict[str, TensorFile]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if 8 + length > size:
            raise JobError(
                "UsageError", f"{path} is truncated: {size:,} bytes do not hold its header", REPAIR
            )
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise JobError("UsageError", f"{path} is no safetensors file", REPAIR) from None
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, stop = (8 + length + offset for offset in entry["data_offsets"])
        if stop > size:
            raise JobError(
                "UsageError", f"{path} is truncated: {size:,} of at least {stop:,} bytes", REPAIR
            )
        found[name] = TensorFile(path, start, stop, entry["dtype"], tuple(entry["shape"]))
    return found
