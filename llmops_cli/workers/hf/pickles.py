"""PyTorch's pickled weights, read as data: no code in them is ever run. Needs torch.

A pickle can hold any code. `weights_only` builds tensors and refuses the rest; what it would still
let a hostile file do, take all memory, is refused before.
"""

import json
import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from _shared.protocol import JobError
from _shared.safetensors import is_beside

SINGLE = "pytorch_model.bin"
INDEX = "pytorch_model.bin.index.json"
HINT = "take the model with .safetensors files: a pickle can run code when it is read"
REPAIR = "download it again"
REFUSED = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
    ImportError,
    struct.error,
    zipfile.BadZipFile,
)
"""What reading a damaged or hostile pickle ends with."""
MOST_TIMES = 2
"""Tensors that share their values are written one by one: a tied head doubles a file at most."""


def shards_of(folder: Path) -> list[Path]:
    """The files of a pickled model, the single one before those of an index, as in Transformers.

    Raises: JobError for one that is missing.
    """
    names = [SINGLE]
    index = _index_of(folder)
    if index is not None:
        names = sorted(set(_indexed(index).values()))
    paths = [folder / name for name in names]
    for path in paths:
        if not path.is_file():
            raise JobError("UsageError", f"weights are missing: {path}", REPAIR)
    return paths


def check_whole(folder: Path, found: set[str]) -> None:
    """Raises: JobError if the index lists tensors that no file holds."""
    index = _index_of(folder)
    if index is None:
        return
    missing = sorted(set(_indexed(index)) - found)
    if missing:
        message = f"{folder} lacks {len(missing)} of its tensors, such as {missing[0][:60]!r}"
        raise JobError("UsageError", message, REPAIR)


def _index_of(folder: Path) -> Path | None:
    """None where all weights are in one file."""
    index = folder / INDEX
    if (folder / SINGLE).is_file() or not index.is_file():
        return None
    return index


def _indexed(index: Path) -> dict[str, str]:
    """Tensor -> file; a file's name leads to no other folder."""
    try:
        places = json.loads(index.read_bytes())["weight_map"]
        found = {str(name): str(file) for name, file in places.items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise JobError("UsageError", f"{index} is no index of tensors", REPAIR) from None
    for file in found.values():
        if not is_beside(file):
            raise JobError("UsageError", f"{index} names {file[:60]!r}, outside of its folder")
    return found


def tensors_in(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Each tensor by name, mapped where the file can be.

    Raises: JobError for a file that is damaged, holds more than tensors, or says that it holds more
    than fits into it.
    """
    _refuse_packed(path)
    state = _state_of(path)
    if not isinstance(state, dict):
        raise _odd(path, f"a {type(state).__name__} instead of named tensors")
    left_bytes = MOST_TIMES * path.stat().st_size
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            kind = type(tensor).__name__
            raise _odd(path, f"{str(name)[:60]!r}, a {kind}, beside named tensors")
        size_bytes = _checked_bytes(path, name, tensor)
        left_bytes -= size_bytes
        if left_bytes < 0:
            raise _odd(path, "more values than fit into it")
        yield name, tensor


def _refuse_packed(path: Path) -> None:
    """Torch writes archives without compression; a packed one could be of any size."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except REFUSED as error:
        raise _broken(path, error) from None
    is_packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if is_packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise _odd(path, "packed contents")


def _state_of(path: Path) -> Any:
    """Files of torch before 1.6 are no archives, and cannot be mapped."""
    is_archive = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    except REFUSED as error:
        raise _broken(path, error) from None


def _checked_bytes(path: Path, name: str, tensor: Tensor) -> int:
    """Its size; one that shows few values many times is no weight."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise _odd(path, f"{name[:60]!r}, which is no plain tensor")
    size_bytes = tensor.numel() * tensor.element_size()
    if size_bytes > tensor.untyped_storage().nbytes():
        raise _odd(path, f"{name[:60]!r}, which has more values than it keeps")
    return size_bytes


def _broken(path: Path, error: BaseException) -> JobError:
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    message = f"{path} is a pickle that is damaged, or holds more than tensors; nothing of it ran"
    return JobError("UsageError", message, HINT)


def _odd(path: Path, what: str) -> JobError:
    return JobError("UsageError", f"{path} holds {what}", HINT)
