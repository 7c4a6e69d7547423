"""Names, types and sizes of a GGUF file's tensors. Needs gguf."""

from pathlib import Path
from typing import Any

import gguf

from _shared.protocol import Events, JobError, run_worker


def work(job: dict[str, Any], _events: Events) -> dict[str, Any]:
    path = Path(job["path"])
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, OSError, IndexError) as error:
        raise JobError(
            "UsageError", f"{path} cannot be read: {error}", "is the file complete?"
        ) from error

    def field(name: str) -> Any:
        found = reader.get_field(name)
        return None if found is None else found.contents()

    number = field("general.file_type")
    return {
        "architecture": field("general.architecture"),
        "file_type": None
        if number is None
        else gguf.LlamaFileType(number).name.removeprefix("MOSTLY_"),
        "tensors": [
            (
                tensor.name,
                tensor.tensor_type.name,
                [int(n) for n in tensor.shape],
                int(tensor.n_bytes),
            )
            for tensor in reader.tensors
        ],
    }


if __name__ == "__main__":
    run_worker(work)
