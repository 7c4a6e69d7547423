"""Small pieces of llama.cpp's C API that several workers use. Needs llama_cpp and numpy."""

import ctypes
from collections.abc import Callable

import llama_cpp
import numpy as np

from _shared.arrays import Floats
from _shared.protocol import JobError

WARN = 3
ERROR = 4


class LogCapture:
    """Keeps llama.cpp's warnings and errors; hands every line to `on_line`."""

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._problems: list[str] = []
        self._on_line = on_line
        # the callback must outlive the library's use of it
        self._callback = llama_cpp.llama_log_callback(self._receive)
        nothing = ctypes.c_void_p(0)
        llama_cpp.llama_log_set(self._callback, nothing)

    def _receive(
        self,
        level: int,
        text: bytes,
        _user: object,
    ) -> None:
        line = text.decode(errors="replace")
        if level in (WARN, ERROR):
            self._problems.append(line.strip())
        if self._on_line is not None:
            self._on_line(line)

    def last(self) -> str:
        """The newest problems, for an error message."""
        newest = self._problems[-3:]
        return " ".join(newest)[-500:]


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
