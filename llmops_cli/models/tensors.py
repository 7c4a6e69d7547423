"""What lies in a model folder: safetensors headers, read without any library."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.fields import Natural
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in

KINDS = (
    ("embeddings", ("embed_tokens", "wte", "token_embd", "embeddings")),
    ("lm_head", ("lm_head",)),
    ("router", (".router.", ".gate.", "shared_expert_gate", "ffn_gate_inp")),
    ("experts", (".experts.", "_exps.")),
    ("norms", ("norm",)),
    ("attention", ("attn", "attention")),
    ("mlp", ("mlp", "feed_forward", "ffn")),
)
"""What tensors are for -> parts of names; the first that fits counts."""
GGUF_HEAD = "output.weight"
LENGTH_BYTES = 8
PACKED_ENDING = ".weight_packed"
SHAPE_ENDING = ".weight_shape"
SHAPE_FORMS = {"I64": struct.Struct("<qq"), "I32": struct.Struct("<ii")}
REPAIR = "download or make it again"
MOST_HEADER_BYTES = 100_000_000
"""The format's own limit. Source: safetensors, tensor.rs, MAX_HEADER_SIZE."""
MOST_NAME_BYTES = 255
"""Of a file, on any file system here."""
OTHER_WEIGHTS = ("*.bin", "*.pt", "*.gguf")


class TensorInfo(msgspec.Struct, frozen=True):
    """A tensor's name and place, without its values.

    `whole_shape`: of the matrix that a packed one stands for, where its file tells.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    whole_shape: tuple[int, ...] = ()


def tensors_of(folder: Path) -> list[TensorInfo]:
    """Every tensor of the folder's safetensors files.

    Raises: UsageError for a file that is truncated or none.
    """
    found: list[TensorInfo] = []
    for path in _weight_files(folder):
        found += _tensors_in(path)
    return found


def _tensors_in(path: Path) -> list[TensorInfo]:
    found: list[TensorInfo] = []
    places: dict[str, _Place] = {}
    header = _header(path)
    begin_bytes = LENGTH_BYTES + header.size_bytes
    room_bytes = path.stat().st_size - begin_bytes
    for name, raw in header.entries.items():
        if name == "__metadata__":
            continue
        try:
            entry = msgspec.convert(raw, _Entry)
        except msgspec.ValidationError:
            raise UsageError(f"{path} is no safetensors file", hint=REPAIR) from None
        start, stop = entry.data_offsets
        if max(start, stop) > room_bytes:
            raise _truncated(path)
        size_bytes = max(stop - start, 0)
        found.append(TensorInfo(name, entry.dtype, entry.shape, size_bytes))
        if name.endswith(SHAPE_ENDING):
            places[name.removesuffix(SHAPE_ENDING)] = _Place(begin_bytes + start, entry.dtype)
    return _with_whole_shapes(path, found, places)


def _with_whole_shapes(
    path: Path,
    tensors: list[TensorInfo],
    places: Mapping[str, _Place],
) -> list[TensorInfo]:
    """Packed tensors with the shapes that the file keeps beside them as two numbers."""
    if not places:
        return tensors
    found = []
    with path.open("rb") as file:
        for tensor in tensors:
            place = places.get(tensor.name.removesuffix(PACKED_ENDING))
            form = None if place is None else SHAPE_FORMS.get(place.dtype)
            if place is not None and form is not None and tensor.name.endswith(PACKED_ENDING):
                file.seek(place.begin)
                raw = file.read(form.size)
                if len(raw) == form.size:
                    tensor = msgspec.structs.replace(tensor, whole_shape=form.unpack(raw))
            found.append(tensor)
    return found


def weight_bytes(folder: Path) -> int:
    """Bytes of the weights alone: tensors of safetensors files, or the files of other formats."""
    tensors = tensors_of(folder)
    if tensors:
        return sum(tensor.bytes for tensor in tensors)
    total = 0
    for pattern in OTHER_WEIGHTS:
        total += sum(path.stat().st_size for path in folder.glob(pattern))
    return total


def parameters_of(folder: Path) -> int:
    """Parameters of an unquantized folder."""
    return sum(math.prod(tensor.shape) for tensor in tensors_of(folder))


def kind_of(name: str) -> str:
    """What the tensor of this name is for."""
    if name == GGUF_HEAD:
        return "lm_head"
    for kind, parts in KINDS:
        if any(part in name for part in parts):
            return kind
    return "other"


def _weight_files(folder: Path) -> list[Path]:
    """Those that Transformers reads: the single one before those of an index."""
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return sorted(folder / name for name in _indexed(index))
    return sorted(folder.glob("*.safetensors"))


def _indexed(index: Path) -> set[str]:
    """Names of files; none of them leads to another folder."""
    raw = index.read_bytes()
    try:
        found = msgspec.json.decode(raw, type=_Index)
    except UNREADABLE:
        reason = wrong_in(raw, _Index)
        raise UsageError(f"{index} is no index of tensors: {reason}", hint=REPAIR) from None
    names = set(found.weight_map.values())
    for name in names:
        if not _is_beside(name):
            raise UsageError(f"{index} names {name[:60]!r}, outside of its folder", hint=REPAIR)
    return names


def _is_beside(name: str) -> bool:
    """Whether a file in the same folder can have this name."""
    is_plain = Path(name).name == name and "\0" not in name
    return is_plain and len(name.encode()) <= MOST_NAME_BYTES


class _Index(msgspec.Struct, frozen=True):
    """Tensor -> file."""

    weight_map: dict[str, str]


class _Place(msgspec.Struct, frozen=True):
    """Where a tensor's values begin, in bytes of the file, and their type."""

    begin: int
    dtype: str


class _Entry(msgspec.Struct, frozen=True):
    """A tensor as a file lists it. `data_offsets`: from where the tensors begin."""

    dtype: str
    shape: tuple[Natural, ...]
    data_offsets: tuple[Natural, Natural]


class _Header(msgspec.Struct, frozen=True):
    """A file's list of tensors, and how many bytes it takes itself."""

    entries: dict[str, dict[str, Any]]  # Any: strings, lists and offsets
    size_bytes: int


def _header(path: Path) -> _Header:
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no file", hint=REPAIR)  # a pipe would be waited for
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=REPAIR) from None
    with file:
        head = file.read(LENGTH_BYTES)
        if len(head) < LENGTH_BYTES:
            raise _truncated(path)
        (length,) = struct.unpack("<Q", head)
        if LENGTH_BYTES + length > path.stat().st_size:
            raise _truncated(path)
        if length > MOST_HEADER_BYTES:
            raise UsageError(f"{path} is no safetensors file", hint=REPAIR)
        try:
            entries = msgspec.json.decode(file.read(length), type=dict[str, dict[str, Any]])
        except UNREADABLE:
            raise UsageError(f"{path} is no safetensors file", hint=REPAIR) from None
    return _Header(entries, length)


def _truncated(path: Path) -> UsageError:
    return UsageError(f"{path} is truncated", hint=REPAIR)
