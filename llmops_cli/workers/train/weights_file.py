"""Weights into Hugging Face's safetensors files, by all ranks, one tensor whole at a time.

A file is written as it comes: its header needs shapes alone. So no rank ever holds more than one
whole tensor beside its own parts. The format: https://github.com/huggingface/safetensors.
"""

import json
import os
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor, distributed

from train.layout import is_spread
from train.ranks import Ranks

FILE_BYTES = 5 * 1000**3
DTYPE_NAMES = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.bool: "BOOL",
}


class WeightsFile(NamedTuple):
    """One file of a model: its name, the tensors in it, the rank that writes it."""

    name: str
    tensors: tuple[str, ...]
    writer: int


def save_weights(
    weights: Mapping[str, Tensor],
    folder: Path,
    ranks: Ranks,
    *,
    dtype: torch.dtype | None = None,
    file_bytes: int = FILE_BYTES,
    whole: Callable[[str], Tensor] | None = None,
) -> None:
    """Every rank must call it. dtype: that of the file for floating-point weights; None: their own.

    whole: gives a weight by its name, where `weights` has but its shape.
    The folder has all of it when this returns, on every rank.
    """
    files = plan(weights, world_size=ranks.world_size, dtype=dtype, file_bytes=file_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(files), ranks.world_size):
        some = files[first : first + ranks.world_size]
        write_beside(some, weights, folder, ranks, dtype, whole=whole)
    if ranks.is_first and len(files) > 1:
        _write_index(files, weights, folder, dtype)
    if distributed.is_initialized():
        distributed.barrier()


def save_config(model: Any, folder: Path, dtype: torch.dtype) -> None:
    """What Transformers reads beside the weights."""
    config = copy(model.config)
    config.dtype = dtype
    config.use_cache = True
    config.architectures = [architecture_of(model)]
    config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)


def architecture_of(model: Any) -> str:
    """Its class in Transformers, by which engines and converters know a folder.

    A sharded model's class is one that FSDP derived from it.
    """
    for kind in type(model).__mro__:
        if kind.__module__.startswith("transformers."):
            return kind.__name__
    return type(model).__name__


def plan(
    weights: Mapping[str, Tensor],
    *,
    world_size: int,
    dtype: torch.dtype | None,
    file_bytes: int,
) -> list[WeightsFile]:
    """Files of at most `file_bytes`, or of one tensor; writers take turns."""
    groups: list[list[str]] = [[]]
    filled = 0
    for name, weight in weights.items():
        size_bytes = size_bytes_of(weight, dtype)
        if groups[-1] and filled + size_bytes > file_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size_bytes
    return [
        WeightsFile(file_name(number, len(groups)), tuple(names), number % world_size)
        for number, names in enumerate(groups)
    ]


def file_name(number: int, count: int) -> str:
    if count == 1:
        return "model.safetensors"
    return f"model-{number + 1:05d}-of-{count:05d}.safetensors"


def write_beside(
    files: list[WeightsFile],
    weights: Mapping[str, Tensor],
    folder: Path,
    ranks: Ranks,
    dtype: torch.dtype | None,
    *,
    whole: Callable[[str], Tensor] | None = None,
) -> None:
    """Some files at once, each by its writer: tensors become whole in turn, one a file."""
    own: BinaryIO | None = None
    for file in files:
        if file.writer == ranks.rank:
            own = (folder / file.name).open("wb")
            own.write(header(file.tensors, weights, dtype))
    most = max(len(file.tensors) for file in files)
    for position in range(most):
        for file in files:
            if position < len(file.tensors):
                name = file.tensors[position]
                tensor = whole(name) if whole else _whole(weights[name])
                if own is not None and file.writer == ranks.rank:
                    own.write(_bytes(tensor, dtype))
    if own is not None:
        own.flush()
        os.fsync(own.fileno())
        own.close()


def header(
    names: tuple[str, ...], weights: Mapping[str, Tensor], dtype: torch.dtype | None
) -> bytes:
    """The first bytes of a file with these tensors in this order."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        end = offset + size_bytes_of(weights[name], dtype)
        entries[name] = {
            "dtype": DTYPE_NAMES[_dtype(weights[name], dtype)],
            "shape": list(weights[name].shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    padded = text.ljust(-(-len(text) // 8) * 8)
    return len(padded).to_bytes(8, "little") + padded


def _write_index(
    files: list[WeightsFile],
    weights: Mapping[str, Tensor],
    folder: Path,
    dtype: torch.dtype | None,
) -> None:
    places = {name: file.name for file in files for name in file.tensors}
    total_bytes = sum(size_bytes_of(weight, dtype) for weight in weights.values())
    write_index(folder, places, total_bytes)


def write_index(folder: Path, places: Mapping[str, str], total_bytes: int) -> None:
    """places: name of a tensor -> the file that has it."""
    index = {"metadata": {"total_size": total_bytes}, "weight_map": dict(sorted(places.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


@torch.no_grad()
def _whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if is_spread(tensor) else tensor


def _bytes(tensor: Tensor, dtype: torch.dtype | None) -> bytes:
    flat = tensor.detach().to("cpu", _dtype(tensor, dtype)).contiguous().flatten()
    return flat.view(torch.uint8).numpy().tobytes()


def _dtype(tensor: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    if dtype is None or not tensor.is_floating_point():
        return tensor.dtype
    return dtype


def size_bytes_of(tensor: Tensor, dtype: torch.dtype | None) -> int:
    return tensor.numel() * _dtype(tensor, dtype).itemsize
