"""The head of a GGUF file: its keys, and where each tensor lies.

Every count and length is compared with the size of the file before anything is done by it, so a
hostile file costs neither memory nor time.

Source: docs/gguf.md of ggml.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.models.gguf.cursor import BrokenError, Cursor, Mapped, Pieces, Scalar
from llmops_cli.models.gguf.type_names import FLOATS, TENSOR_TYPES, TensorType, type_name

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SWAPPED_VERSIONS = (2 << 24, 3 << 24)
"""As a machine writes them whose bytes stand the other way round."""
MOST_KEYS = 1 << 16
MOST_TENSORS = 1 << 16
LEAST_KEY_BYTES = 13
LEAST_TENSOR_BYTES = 24
MOST_DIMENSIONS = 4
MOST_VALUES = 1 << 62
ALIGNMENT = 32
MOST_SHOWN = 60


class GgufTensor(msgspec.Struct, frozen=True, kw_only=True):
    """`shape` as the file has it: values of a row first. `begin`: a byte of the file."""

    name: str
    type_number: int
    shape: tuple[int, ...]
    begin: int
    size_bytes: int

    @property
    def type_name(self) -> str:
        return type_name(self.type_number)

    @property
    def values(self) -> int:
        return math.prod(self.shape)

    @property
    def is_quantized(self) -> bool:
        return len(self.shape) > 1 and self.type_name not in FLOATS


class GgufHeader(msgspec.Struct, frozen=True, kw_only=True):
    """`keys` are those with one value; what has many, or is very long, is not kept."""

    path: Path
    keys: Mapping[str, Scalar]
    tensors: tuple[GgufTensor, ...]
    size_bytes: int

    def number(self, key: str) -> int | None:
        """None for one that is not there, or is no number."""
        found = self.keys.get(key)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def text(self, key: str) -> str | None:
        """None for one that is not there, or is no text."""
        found = self.keys.get(key)
        return found if isinstance(found, str) else None


def is_gguf(path: Path) -> bool:
    """Whether it begins as such files do. Raises: UsageError for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def read_header(path: Path) -> GgufHeader:
    """Raises: UsageError for a file that is none, is cut, or whose numbers cannot be true."""
    if not is_gguf(path):
        raise UsageError(
            f"{path} is no GGUF file", hint="pass a model folder, a .gguf file or demo"
        )
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return header_in(path, Mapped(data))
    except BrokenError as error:
        raise UsageError(
            f"{path} is no whole GGUF file: {error}", hint="download or make it again"
        ) from None


def shown(text: str) -> str:
    """A name out of a file, fit for one line."""
    printable = "".join(char if char.isprintable() else "?" for char in text)
    if len(printable) > MOST_SHOWN:
        return f"{printable[:MOST_SHOWN]}..."
    return printable


def header_in(path: Path, pieces: Pieces) -> GgufHeader:
    """Of a file that begins with the magic. Raises: BrokenError for numbers that cannot be true."""
    size_bytes = pieces.size_bytes
    cursor = Cursor(pieces)
    cursor.at = len(MAGIC)
    _check_version(cursor.u32())
    tensor_count = cursor.u64()
    key_count = cursor.u64()
    _check_count(tensor_count, "tensors", MOST_TENSORS, LEAST_TENSOR_BYTES, cursor)
    _check_count(key_count, "keys", MOST_KEYS, LEAST_KEY_BYTES, cursor)
    keys = _keys(cursor, key_count)
    places = [_place(cursor) for _ in range(tensor_count)]
    begin = _aligned(cursor.at, keys)
    tensors = _tensors(places, begin, size_bytes)
    return GgufHeader(path=path, keys=keys, tensors=tensors, size_bytes=size_bytes)


def _check_version(version: int) -> None:
    if version in SWAPPED_VERSIONS:
        raise BrokenError("its numbers are big-endian, which is not read here")
    if version not in VERSIONS:
        raise BrokenError(f"version {version}, and only 2 and 3 are read")


def _check_count(
    count: int,
    what: str,
    most: int,
    least_bytes: int,
    cursor: Cursor,
) -> None:
    if count > most or count * least_bytes > cursor.left_bytes:
        raise BrokenError(f"it says that it has {count:,} {what}")


def _keys(cursor: Cursor, count: int) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    seen: set[str] = set()
    for _ in range(count):
        name = cursor.name()
        if name in seen:
            raise BrokenError(f"the key {shown(name)} is there twice")
        seen.add(name)
        value = cursor.value(cursor.u32())
        if value is not None:
            found[name] = value
    return found


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor as it is listed. `offset`: from where the tensors begin."""

    name: str
    shape: tuple[int, ...]
    type_number: int
    offset: int


def _place(cursor: Cursor) -> _Place:
    name = cursor.name()
    dimensions = cursor.u32()
    if dimensions > MOST_DIMENSIONS:
        raise BrokenError(f"tensor {shown(name)} has {dimensions:,} dimensions")
    shape = tuple(cursor.u64() for _ in range(dimensions))
    if math.prod(shape) > MOST_VALUES:
        raise BrokenError(f"tensor {shown(name)} has {math.prod(shape):.0e} values")
    return _Place(name=name, shape=shape, type_number=cursor.u32(), offset=cursor.u64())


def _aligned(at: int, keys: Mapping[str, Scalar]) -> int:
    """Where the tensors begin."""
    alignment = keys.get("general.alignment", ALIGNMENT)
    if isinstance(alignment, int) and alignment > 0 and alignment.bit_count() == 1:
        return at + -at % alignment
    raise BrokenError(f"its alignment is {shown(str(alignment))}")


def _tensors(
    places: list[_Place],
    begin: int,
    size_bytes: int,
) -> tuple[GgufTensor, ...]:
    names = {place.name for place in places}
    if len(names) < len(places):
        raise BrokenError("two of its tensors have one name")
    ends = _ends(places, size_bytes - begin)
    found = []
    for place in places:
        known = TENSOR_TYPES.get(place.type_number)
        tensor = GgufTensor(
            name=place.name,
            type_number=place.type_number,
            shape=place.shape,
            begin=begin + place.offset,
            size_bytes=_bytes_of(place, known, ends),
        )
        if tensor.begin + tensor.size_bytes > size_bytes:
            told = f"{size_bytes:,} of at least {tensor.begin + tensor.size_bytes:,} bytes"
            raise BrokenError(f"it is cut: {told}, which {shown(place.name)} needs")
        found.append(tensor)
    return tuple(found)


def _ends(places: list[_Place], end: int) -> dict[int, int]:
    """For each offset where the next tensor begins."""
    offsets = sorted({place.offset for place in places})
    after = [*offsets[1:], end]
    return dict(zip(offsets, after, strict=False))


def _bytes_of(
    place: _Place,
    known: TensorType | None,
    ends: Mapping[int, int],
) -> int:
    if known is None:
        return max(ends[place.offset] - place.offset, 0)
    values = math.prod(place.shape)
    row = place.shape[0] if place.shape else 1
    if row % known.values:
        raise BrokenError(f"tensor {shown(place.name)} is {known.name} with rows of {row:,} values")
    return values // known.values * known.block_bytes
