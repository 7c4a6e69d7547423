"""Names, types and sizes of a GGUF file's tensors. Needs gguf."""

from pathlib import Path
from typing import Any

import gguf

from _shared.protocol import Events, JobError, Json, run_worker


def work(job: Json, _events: Events) -> Json:
    path = Path(job["path"])
    reader = open_gguf(path)
    tensors = [row_of(tensor) for tensor in reader.tensors]
    return {
        "architecture": field_of(reader, "general.architecture"),
        "file_type": file_type_of(reader),
        "tensors": tensors,
    }


def open_gguf(path: Path) -> gguf.GGUFReader:
    try:
        return gguf.GGUFReader(path)
    except (ValueError, OSError, IndexError) as error:
        message = f"{path} cannot be read: {error}"
        raise JobError("UsageError", message, "is the file complete?") from error


def field_of(reader: gguf.GGUFReader, name: str) -> Any:
    found = reader.get_field(name)
    if found is None:
        return None
    return found.contents()


def file_type_of(reader: gguf.GGUFReader) -> str | None:
    """The file's scheme by name, such as Q4_K_M."""
    number = field_of(reader, "general.file_type")
    if number is None:
        return None
    scheme = gguf.LlamaFileType(number).name
    return scheme.removeprefix("MOSTLY_")


def row_of(tensor: gguf.ReaderTensor) -> tuple[str, str, list[int], int]:
    """Name, type, shape and bytes."""
    kind = tensor.tensor_type.name
    shape = [int(size) for size in tensor.shape]
    size_bytes = int(tensor.n_bytes)
    return tensor.name, kind, shape, size_bytes


if __name__ == "__main__":
    run_worker(work)
