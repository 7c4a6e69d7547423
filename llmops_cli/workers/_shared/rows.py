"""Lines of JSON as every worker reads them: a line feed cuts, U+2028 inside a text does not.

A byte order mark and blank lines are no rows; a packed file is unpacked on the way.
"""

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from _shared.protocol import JobError

BOM = b"\xef\xbb\xbf"
BLANK = b" \t\r\n"
OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""How a packed file is read, by the end of its name."""
UNPACKING_ERRORS = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)

ONE_OBJECT = "one JSON object a line"

# A row is whatever JSON a data set holds.
AnyRow = Any


class NotJsonError(ValueError):
    """A line that holds no JSON; its text is the reason."""


def rows_in(path: Path) -> Iterator[tuple[int, AnyRow]]:
    """Each row with the number of its line, from 1.

    Raises: JobError naming the line that is no JSON.
    """
    for number, line in lines_in(path):
        yield number, parsed(line, f"{path}:{number}")


def lines_in(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank, with its number from 1."""
    try:
        with open_unpacked(path) as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(BOM)
                line = line.strip(BLANK)
                if line:
                    yield number, line
    except UNPACKING_ERRORS as error:
        raise unpacking_failed(path, error) from None


def open_unpacked(path: Path) -> BinaryIO:
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        return path.open("rb")
    unpacked: BinaryIO = opener(path, "rb")
    return unpacked


def unpacking_failed(path: Path, error: Exception) -> JobError:
    return JobError("UsageError", f"{path} cannot be unpacked: {error}", "it may be cut short")


def parsed(line: bytes, place: str) -> AnyRow:
    """Raises: JobError that begins with `place`."""
    try:
        return json_of(line)
    except NotJsonError as error:
        raise JobError("UsageError", f"{place}: {error}", ONE_OBJECT) from None


def json_of(line: bytes) -> AnyRow:
    """Raises: NotJsonError with the reason."""
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError as error:
        reason = f"no UTF-8 at byte {error.start} of the line"
    except json.JSONDecodeError as error:
        reason = f"no JSON at character {error.pos} of the line: {error.msg}"
    except (ValueError, RecursionError) as error:
        reason = f"no JSON that can be read: {error}"
    raise NotJsonError(reason)
