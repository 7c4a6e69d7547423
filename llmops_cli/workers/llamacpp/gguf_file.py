"""A GGUF file that is read: its keys and its tensors, of a model in parts those of all parts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gguf import GGUFReader, ReaderTensor

from _shared.protocol import JobError
from llamacpp.fields import MOST_LAYERS

FIRST_PART = "-00001-of-{count:05d}.gguf"
PART = "-{number:05d}-of-{count:05d}.gguf"


class GgufFile:
    """Keys by name without the architecture in front; tensors by name, mapped and not read."""

    def __init__(self, path: Path) -> None:
        """Raises: JobError for a file that is none, or is cut."""
        self._reader = reader_of(path)
        self.path = path
        self.architecture = str(self.key("general.architecture"))
        readers = [self._reader, *map(reader_of, self._other_parts())]
        self.tensors: dict[str, ReaderTensor] = {
            each.name: each for reader in readers for each in reader.tensors
        }

    def _other_parts(self) -> Iterator[Path]:
        """Those behind the first, whose names tell their numbers."""
        count = int(self.key("split.count", 1))
        ending = FIRST_PART.format(count=count)
        for number in range(2, count + 1):
            name = self.path.name.removesuffix(ending) + PART.format(number=number, count=count)
            yield self.path.with_name(name)

    def key(self, name: str, default: Any = None) -> Any:  # Any: as many types as keys
        field = self._reader.get_field(name)
        if field is None:
            return default
        try:
            return field.contents()
        except UnicodeDecodeError:
            message = f"{self.path}: what it has under {name} is no text in UTF-8"
            raise JobError("UsageError", message, "download the original folder") from None

    def size(self, name: str, default: Any = None) -> Any:  # Any: numbers, and lists by layer
        """A key of the architecture's own: `size("block_count")` is `llama.block_count`."""
        return self.key(f"{self.architecture}.{name}", default)

    def whole(self, name: str, default: int | None = None) -> int:
        """A size that all layers share. Raises: JobError for another value, or none at all."""
        found = self.needed(name) if default is None else self.size(name, default)
        if type(found) is not int or found < 1:
            message = f"{self.path}: {name} is {found!r:.60}, and a folder has one whole number"
            raise JobError("UsageError", message, "download the original folder")
        return found

    def layers(self) -> int:
        """How many blocks it has. Raises: JobError for more than llama.cpp takes."""
        found = self.whole("block_count")
        if found > MOST_LAYERS:
            message = f"{self.path}: block_count is {found}, and llama.cpp ends at {MOST_LAYERS}"
            raise JobError("UsageError", message, "the file is broken; download it again")
        return found

    def needed(self, name: str) -> Any:  # Any: as above
        """Raises: JobError if it is not there."""
        found = self.size(name)
        if found is None:
            message = f"{self.path} has no key {self.architecture}.{name}"
            raise JobError("UsageError", message, "the file is incomplete; download it again")
        return found


def reader_of(path: Path) -> GGUFReader:
    """Raises: JobError for a file that is none, or is cut."""
    try:
        return GGUFReader(str(path))
    except (ValueError, IndexError, OSError) as error:
        message = f"{path} is no whole GGUF file: {error}"
        raise JobError("UsageError", message, "download it again") from error
