"""A user's own importance matrix, looked at before any work: its form, not its values.

Sources: llama.cpp's tools/imatrix, GGUF and the older `.dat` form; workers/llamacpp/imatrix.py
reads the values.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from llmops_cli.core.errors import UsageError
from llmops_cli.models.gguf.header import is_gguf, read_header

__all__ = ["check_matrix_file"]

SUMS = ".in_sum2"
COUNTS = ".counts"
MOST_ENTRIES = 1_000_000
LONGEST_NAME = 1_024
FLOAT_BYTES = 4
HINT = "a file from llmops or llama-imatrix"


class _NoMatrixError(ValueError):
    """What of the file is not as it should be."""


def check_matrix_file(path: Path) -> None:
    """Raises: UsageError for a file that is no importance matrix, or is cut."""
    try:
        if is_gguf(path):
            _check_tensors(path)
        else:
            _check_dat(path)
    except _NoMatrixError as error:
        raise UsageError(f"--imatrix: {path} is no importance matrix: {error}", hint=HINT) from None


def _check_tensors(path: Path) -> None:
    names = {tensor.name for tensor in read_header(path).tensors}
    matrices = [name.removesuffix(SUMS) for name in names if name.endswith(SUMS)]
    if not matrices:
        raise _NoMatrixError(f"it has no {SUMS} tensors")
    for matrix in matrices:
        if matrix + COUNTS not in names:
            raise _NoMatrixError(f"{matrix} has no counts")


def _check_dat(path: Path) -> None:
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        count = _int(file, most=MOST_ENTRIES, what="count of entries", least=1)
        for _ in range(count):
            _pass_entry(file, size_bytes)


def _pass_entry(file: IO[bytes], size_bytes: int) -> None:
    length = _int(file, most=LONGEST_NAME, what="length of a name", least=1)
    name = file.read(length)
    if len(name) < length or not name.isascii():
        raise _NoMatrixError("an entry has no name")
    _int(file, most=2**31 - 1, what="count of calls")
    columns = _int(file, most=size_bytes // FLOAT_BYTES, what="count of columns", least=1)
    end = file.seek(columns * FLOAT_BYTES, 1)
    if end > size_bytes:
        raise _NoMatrixError("it is cut")


def _int(
    file: IO[bytes],
    *,
    most: int,
    what: str,
    least: int = 0,
) -> int:
    raw = file.read(4)
    if len(raw) < 4:
        raise _NoMatrixError("it is cut")
    (value,) = struct.unpack("<i", raw)
    if not least <= value <= most:
        raise _NoMatrixError(f"its {what} is {value:,}")
    return int(value)
