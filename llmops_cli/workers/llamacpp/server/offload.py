"""How many layers a GPU computes if so much of the weights stays in main memory."""

from math import ceil
from pathlib import Path

import llama_cpp

from _shared.protocol import JobError
from llamacpp.gguf_file import GgufFile
from llamacpp.server.binding import LoadError

GIB = 1 << 30


def layers_beside(offload_gib: float, path: Path) -> int:
    """Raises: LoadError where no GPU could have them."""
    if not llama_cpp.llama_supports_gpu_offload():
        raise LoadError(
            "--cpu-offload-gib: this build of llama.cpp knows no GPU, so all weights are in main "
            "memory already; leave it out"
        )
    try:
        blocks = int(GgufFile(path).needed("block_count"))
    except JobError as error:
        raise LoadError(error.message) from error
    return layers_on_gpu(offload_gib * GIB, size_bytes=path.stat().st_size, blocks=blocks)


def layers_on_gpu(offload_bytes: float, *, size_bytes: int, blocks: int) -> int:
    """Whole layers, at least `offload_bytes` beside them; the output counts as a layer.

    llama.cpp puts the last ones on the GPU first (`n_gpu_layers`).
    """
    layers = blocks + 1
    layer_bytes = size_bytes / layers
    beside = ceil(offload_bytes / layer_bytes)
    return max(0, layers - beside)
