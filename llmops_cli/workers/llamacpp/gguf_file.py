"""A GGUF file that is read: its keys and its tensors."""

from pathlib import Path
from typing import Any

from gguf import GGUFReader, ReaderTensor

from _shared.protocol import JobError


class GgufFile:
    """Keys by name without the architecture in front; tensors by name, mapped and not read."""

    def __init__(self, path: Path) -> None:
        """Raises: JobError for a file that is none, or is cut."""
        try:
            self._reader = GGUFReader(str(path))
        except (ValueError, IndexError, OSError) as error:
            message = f"{path} is no whole GGUF file: {error}"
            raise JobError("UsageError", message, "download it again") from error
        self.path = path
        self.architecture = str(self.key("general.architecture"))
        self.tensors: dict[str, ReaderTensor] = {each.name: each for each in self._reader.tensors}

    def key(self, name: str, default: Any = None) -> Any:  # Any: as many types as keys
        field = self._reader.get_field(name)
        if field is None:
            return default
        return field.contents()

    def size(self, name: str, default: Any = None) -> Any:  # Any: numbers, and lists by layer
        """A key of the architecture's own: `size("block_count")` is `llama.block_count`."""
        return self.key(f"{self.architecture}.{name}", default)

    def needed(self, name: str) -> Any:  # Any: as above
        """Raises: JobError if it is not there."""
        found = self.size(name)
        if found is None:
            message = f"{self.path} has no key {self.architecture}.{name}"
            raise JobError("UsageError", message, "the file is incomplete; download it again")
        return found
