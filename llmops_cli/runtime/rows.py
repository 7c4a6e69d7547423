"""Lines of JSON in files that we did not write: cut at line feeds only, plain or packed.

The workers' `_shared/rows.py` reads the same way; neither may import the other.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from llmops_cli.core.errors import UsageError

BOM = b"\xef\xbb\xbf"
BLANK = b" \t\r\n"
OPENERS: dict[str, Callable[[Path], object]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""How a packed file is read, by the end of its name."""
UNPACKING_ERRORS = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


def lines_in(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank, with its number from 1, without a byte order mark.

    Raises: UsageError for a packed file that cannot be unpacked.
    """
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, 1):
                raw = line.removeprefix(BOM) if number == 1 else line
                stripped = raw.strip(BLANK)
                if stripped:
                    yield number, stripped
    except UNPACKING_ERRORS as error:
        message = f"{path} cannot be unpacked: {error}"
        raise UsageError(message, hint="it may be cut short") from error


def kind_of_name(path: Path) -> str:
    """The end of the name, in small letters, of what may be packed: .jsonl of rows.jsonl.gz."""
    if path.suffix.lower() in OPENERS:
        path = path.with_suffix("")
    return path.suffix.lower()


def _opened(path: Path) -> BinaryIO:
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        return path.open("rb")
    return cast("BinaryIO", opener(path))
