"""A model whose tensors can be changed while llama.cpp has it loaded.

llama.cpp maps the file that it loads, and so do we: what is written into one mapping is what the
next decode reads. So a model is loaded once for hundreds of changes.
Shapes: O rows, I columns, N scored tokens, V vocabulary.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import gguf
import numpy as np

from _shared.arrays import Array, Floats
from _shared.pieces import Piece
from _shared.protocol import JobError
from llamacpp.log import LogCapture
from llamacpp.quality import GgufScorer
from llamacpp.rounding import ErrorSum, Rounder

AT_ONCE_WEIGHTS = 1 << 24
"""Weights of a tensor that are in memory at a time."""
FLOATS = frozenset({"F16", "BF16", "F32"})

Tensors = dict[str, gguf.ReaderTensor]
Mode = Literal["r", "r+"]
Matrix = tuple[Array, Floats | None]
"""Rows as the file has them, shape (O, ...), and importance_I."""


class TouchedModel:
    """A copy of the file, loaded; the file itself is read for what was there before."""

    def __init__(
        self,
        tensors: Tensors,
        copy: Path,
        *,
        window: int,
        threads: int,
    ) -> None:
        self._tensors = tensors
        self._written = tensors_of(copy, mode="r+")
        self._threads = threads
        # repacked weights would be a copy in memory, which nothing written here reaches
        self._scorer = GgufScorer(
            str(copy), window=window, threads=threads, log=LogCapture(), repacks=False
        )
        self.vocab = self._scorer.vocab

    def log_probs(self, pieces: list[Piece]) -> Iterator[Floats]:
        """logs_NV of the scored tokens, a batch at a time."""
        for tokens, first_scored in pieces:
            for _, logs_NV in self._scorer.log_probs(tokens, first_scored):
                yield logs_NV

    def round(self, name: str, type_name: str, importance: Floats | None) -> float:
        """Has this tensor be as quantized to this type; the error of it, as a share."""
        rounder = Rounder(type_name, threads=self._threads)
        kind = self._tensors[name].tensor_type
        error = ErrorSum()
        before = matrices_of(self._tensors[name], importance)
        after = matrices_of(self._written[name], importance)
        for (was, importance_I), (now, _) in zip(before, after, strict=True):
            w_OI = gguf.dequantize(was, kind)
            rounded_OI = rounder.rounded(w_OI, importance_I)
            error.add(w_OI, rounded_OI, importance_I)
            now[:] = gguf.quantize(rounded_OI, kind)
        return error.share()

    def restore(self, name: str) -> None:
        before = matrices_of(self._tensors[name], None)
        after = matrices_of(self._written[name], None)
        for (was, _), (now, _) in zip(before, after, strict=True):
            now[:] = was


def copy_of(base: Path, folder: Path) -> Path:
    """A copy to write into. Raises: OSError for want of space."""
    copy = folder / "touched.gguf"
    shutil.copyfile(base, copy)
    return copy


def tensors_of(path: Path, *, mode: Mode = "r") -> Tensors:
    reader = gguf.GGUFReader(path, mode)
    return {tensor.name: tensor for tensor in reader.tensors}


def require_floats(tensors: Tensors, path: Path) -> None:
    """Raises: JobError for a file whose tensors are quantized already."""
    for tensor in tensors.values():
        kind = tensor.tensor_type.name
        if kind not in FLOATS:
            raise JobError(
                "UsageError",
                f"{path} has {tensor.name} in {kind}: a mix is made from 16 bits or more",
                "pass the model that it was made from",
            )


def matrices_of(tensor: gguf.ReaderTensor, importance: Floats | None) -> Iterator[Matrix]:
    """The rows of a tensor, some at a time; each expert has its own part of the importance."""
    columns = int(tensor.shape[0])
    data: Array = tensor.data
    experts = 1
    if len(tensor.shape) > 2:
        experts = len(data)
    per_expert = data.reshape(experts, -1, data.shape[-1])
    rows = max(1, AT_ONCE_WEIGHTS // columns)
    for number, expert in enumerate(per_expert):
        importance_I = _part(importance, number, columns)
        for start in range(0, len(expert), rows):
            yield expert[start : start + rows], importance_I


def _part(importance: Floats | None, expert: int, columns: int) -> Floats | None:
    if importance is None:
        return None
    start = expert * columns
    return np.ascontiguousarray(importance[start : start + columns], np.float32)
