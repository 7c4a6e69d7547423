"""GGUF files byte by byte, so that each number in them can be a wrong one."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

U32 = 4
STRING = 8
ARRAY = 9
ALIGNMENT = 32


class Tensor(NamedTuple):
    """`size_bytes`: what is written of it, whatever its shape says."""

    name: str
    shape: tuple[int, ...] = (4, 2)
    type_number: int = 0
    offset: int = 0
    size_bytes: int = 32


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def key(name: str, value: object) -> bytes:
    """A text, a whole number, or the bytes of a type and a value."""
    if isinstance(value, bytes):
        return text(name) + value
    if isinstance(value, str):
        return text(name) + struct.pack("<I", STRING) + text(value)
    assert isinstance(value, int)
    return text(name) + struct.pack("<II", U32, value)


def array(kind: int, count: int, content: bytes = b"") -> bytes:
    return struct.pack("<IIQ", ARRAY, kind, count) + content


def listed(tensor: Tensor) -> bytes:
    dimensions = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
    return text(tensor.name) + dimensions + struct.pack("<IQ", tensor.type_number, tensor.offset)


def gguf(
    keys: Mapping[str, object] | None = None,
    tensors: Sequence[Tensor] = (Tensor("blk.0.attn_q.weight"),),
    *,
    version: int = 3,
    key_count: int | None = None,
    tensor_count: int | None = None,
) -> bytes:
    """A whole file; counts that are given are written instead of the true ones."""
    keys = {"general.architecture": "llama"} if keys is None else keys
    counts = (
        len(tensors) if tensor_count is None else tensor_count,
        len(keys) if key_count is None else key_count,
    )
    head = b"GGUF" + struct.pack("<IQQ", version, *counts)
    head += b"".join(key(name, value) for name, value in keys.items())
    head += b"".join(map(listed, tensors))
    head += bytes(-len(head) % ALIGNMENT)
    end = max((tensor.offset + tensor.size_bytes for tensor in tensors), default=0)
    return head + bytes(end)


def split(folder: Path, count: int, *, stem: str = "m") -> list[Path]:
    """A model of `count` tensors in as many parts."""
    paths = []
    for number in range(count):
        keys: dict[str, object] = {
            "split.no": number,
            "split.count": count,
            "split.tensors.count": count,
        }
        if number == 0:
            keys["general.architecture"] = "llama"
        path = folder / f"{stem}-{number + 1:05d}-of-{count:05d}.gguf"
        path.write_bytes(gguf(keys, [Tensor(f"blk.{number}.attn_q.weight")]))
        paths.append(path)
    return paths
