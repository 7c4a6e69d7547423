"""Small pieces of llama.cpp's C API that several workers use. Needs llama_cpp and numpy."""

import llama_cpp
import numpy as np

from _shared.arrays import Floats
from _shared.protocol import JobError
from llamacpp.log import LogCapture


def load_model(
    path: str,
    log: LogCapture,
    *,
    gpu_layers: int = 0,
    overrides: object = None,
    repacks: bool = True,
) -> object:
    """The model, its file mapped.

    `overrides`: an array of llama.cpp's, of metadata that counts in place of the file's.
    `repacks`: whether weights may be copied into an order that its kernels like.
    """
    params = llama_cpp.llama_model_default_params()
    params.use_extra_bufts = repacks
    params.n_gpu_layers = gpu_layers
    if overrides is not None:
        params.kv_overrides = overrides
    file = path.encode()
    model: object = llama_cpp.llama_model_load_from_file(file, params)
    if not model:
        raise JobError(
            "UsageError",
            f"llama.cpp cannot load {path}: {log.last() or 'no reason given'}",
            "is the file complete?",
        )
    return model


def tokenize(
    vocab: object,
    text: bytes,
    *,
    add_special: bool,
    parse_special: bool,
) -> list[int]:
    """Tokens of the text; where the first guess of their number is too small, a second call."""
    size = len(text) + 16
    for _ in range(2):
        buffer = (llama_cpp.llama_token * size)()
        count = llama_cpp.llama_tokenize(
            vocab, text, len(text), buffer, size, add_special, parse_special
        )
        if count >= 0:
            break
        size = -count
    return list(buffer[:count])


def logits_rows(
    context: object,
    rows: int,
    vocab_size: int,
) -> Floats:
    """A copy of the last decode's `rows` output rows, shape (rows, vocab_size)."""
    pointer = llama_cpp.llama_get_logits(context)
    shape = (rows, vocab_size)
    view: Floats = np.ctypeslib.as_array(pointer, shape=shape)
    return view.copy()
