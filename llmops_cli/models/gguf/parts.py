"""A GGUF model in one file, or in several: NAME-00001-of-00003.gguf and its fellows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.models.gguf.header import GgufHeader, GgufTensor, read_header, shown

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
MOST_PARTS = 10_000
COUNT_KEY = "split.count"
NUMBER_KEY = "split.no"
TENSORS_KEY = "split.tensors.count"
ARCHITECTURE_KEY = "general.architecture"
TYPE_KEY = "general.type"
MODEL_TYPE = "model"


class GgufModel(msgspec.Struct, frozen=True, kw_only=True):
    """All parts of one model, the first one first; a model in one file has one part."""

    parts: tuple[GgufHeader, ...]

    @property
    def path(self) -> Path:
        """What llama.cpp is given: it finds the others by their names."""
        return self.parts[0].path

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(part.path for part in self.parts)

    @property
    def stem(self) -> str:
        """The name without what tells a part."""
        named = PART.fullmatch(self.path.name)
        return named["stem"] if named and len(self.parts) > 1 else self.path.stem

    @property
    def header(self) -> GgufHeader:
        """With the keys of the whole model."""
        return self.parts[0]

    @property
    def architecture(self) -> str | None:
        return self.header.text(ARCHITECTURE_KEY)

    @property
    def tensors(self) -> tuple[GgufTensor, ...]:
        return tuple(tensor for part in self.parts for tensor in part.tensors)

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)

    @property
    def values(self) -> int:
        """Numbers in all tensors."""
        return sum(tensor.values for tensor in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        """What its tensors take, by their number of values; 0 for a file without any."""
        tensor_bytes = sum(tensor.size_bytes for tensor in self.tensors)
        return tensor_bytes * 8 / self.values if self.values else 0.0

    @property
    def quantized_types(self) -> tuple[str, ...]:
        """Types of matrices that have lost something, by how much they take."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors:
            if tensor.is_quantized:
                name = tensor.type_name
                sizes[name] = sizes.get(name, 0) + tensor.size_bytes
        return tuple(sorted(sizes, key=sizes.__getitem__, reverse=True))


def read_gguf(path: Path) -> GgufModel:
    """The model of which `path` is the file, or any part.

    Raises: UsageError for a file that is broken, or parts that are missing or do not fit.
    """
    header = read_header(path)
    count = header.number(COUNT_KEY) or 0
    if count <= 1:
        return GgufModel(parts=(header,))
    paths = _parts_beside(path, count)
    parts = tuple(header if part == path else read_header(part) for part in paths)
    check_parts(parts)
    return GgufModel(parts=parts)


def require_model(path: Path) -> GgufModel:
    """The same. Raises: UsageError also for what is none: an adapter, a matrix, a vocabulary."""
    model = read_gguf(path)
    check_model(model)
    return model


def check_model(model: GgufModel) -> None:
    """Raises: UsageError for what is none: an adapter, a matrix, a vocabulary."""
    path = model.path
    kind = model.header.text(TYPE_KEY) or MODEL_TYPE
    if kind != MODEL_TYPE:
        raise UsageError(f"{path} is no model: its {TYPE_KEY} is {shown(kind)}")
    if not model.tensors:
        raise UsageError(f"{path} has no tensors", hint="a vocabulary alone is no model")


def models_in(folder: Path) -> list[Path]:
    """One file for each GGUF model directly in the folder, the first part of those in parts."""
    found = []
    for path in sorted(folder.glob("*.gguf")):
        named = PART.fullmatch(path.name)
        if named is None or int(named["number"]) == 1:
            found.append(path)
    return found


def _parts_beside(path: Path, count: int) -> list[Path]:
    named = PART.fullmatch(path.name)
    if named is None:
        raise UsageError(
            f"{path} is one of {count:,} parts, and its name does not tell which",
            hint=f"its name must end in -00001-of-{count:05d}.gguf, as llama.cpp finds parts",
        )
    if int(named["count"]) != count or count > MOST_PARTS:
        raise UsageError(f"{path} says that it is one of {count:,} parts, unlike its name")
    names = [f"{named['stem']}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]
    paths = [path.with_name(name) for name in names]
    missing = [part.name for part in paths if not part.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(
            f"{path.parent / missing[0]}{more} of {count} parts of the model is missing",
            hint="download all parts into one folder",
        )
    return paths


def check_parts(parts: Sequence[GgufHeader]) -> None:
    """Raises: UsageError for a part of another model, or of another split of this one."""
    for number, part in enumerate(parts):
        told = (part.number(NUMBER_KEY), part.number(COUNT_KEY))
        if told != (number, len(parts)):
            raise UsageError(
                f"{part.path} is not part {number + 1} of {len(parts)}: it says {_told(told)}",
                hint="download the parts again",
            )
    names = [tensor.name for part in parts for tensor in part.tensors]
    if len(set(names)) < len(names):
        raise UsageError(
            f"{parts[0].path}: two parts hold the same tensor", hint="download the parts again"
        )
    counted = parts[0].number(TENSORS_KEY)
    if counted is not None and counted != len(names):
        raise UsageError(
            f"{parts[0].path}: the parts hold {len(names):,} of {counted:,} tensors",
            hint="download the parts again",
        )


def _told(told: tuple[int | None, int | None]) -> str:
    number, count = told
    if number is None or count is None:
        return "that it is no part at all"
    return f"that it is part {number + 1:,} of {count:,}"
