"""Lines of JSON as every worker reads them: a line feed cuts, U+2028 inside a text does not.

A byte order mark and blank lines are no rows; a packed file is unpacked on the way.
"""

import bz2
import codecs
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from _shared.protocol import JobError

BOM = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
BLANK = b" \t\r\n"
OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""How a packed file is read, by the end of its name."""
UNPACKING_ERRORS = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)

ONE_OBJECT = "one JSON object a line"
BLOCK_BYTES = 1 << 20
MOST_TEXT_BYTES = 1 << 62
SAVE_AS_UTF8 = "save it as UTF-8, such as by: iconv -f LATIN1 -t UTF-8"

# A row is whatever JSON a data set holds.
AnyRow = Any


class NotJsonError(ValueError):
    """A line that holds no JSON; its text is the reason."""

    def __init__(self, reason: str, *, is_encoding: bool = False) -> None:
        super().__init__(reason)
        self.is_encoding = is_encoding


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
                    refuse_utf16(line, str(path))
                    line = line.removeprefix(BOM)
                line = line.strip(BLANK)
                if line:
                    yield number, line
    except UNPACKING_ERRORS as error:
        raise unpacking_failed(path, error) from None


def text_of(path: Path, *, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """A whole text, or what of it lies within `most_bytes`, without a byte order mark.

    Raises: JobError naming the byte that is no UTF-8, and its line.
    """
    try:
        with open_unpacked(path) as file:
            raw = b"".join(_blocks(file, most_bytes))
    except UNPACKING_ERRORS as error:
        raise unpacking_failed(path, error) from None
    return decoded(raw, str(path), is_whole=len(raw) < most_bytes)


def _blocks(file: BinaryIO, most_bytes: int) -> Iterator[bytes]:
    """A read of all that is wished would take that much memory, whatever the file holds."""
    left_bytes = most_bytes
    while left_bytes and (block := file.read(min(left_bytes, BLOCK_BYTES))):
        left_bytes -= len(block)
        yield block


def decoded(raw: bytes, name: str, *, is_whole: bool = True) -> str:
    """The text of these bytes of the file `name`; a character may be cut where they end."""
    refuse_utf16(raw, name)
    mark_bytes = len(BOM) if raw.startswith(BOM) else 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        return decoder.decode(raw[mark_bytes:], final=is_whole)
    except UnicodeDecodeError as error:
        at = mark_bytes + error.start
        line = raw.count(b"\n", 0, at) + 1
        message = f"{name}:{line}: no UTF-8 at byte {at} of the file"
        raise JobError("UsageError", message, SAVE_AS_UTF8) from None


def refuse_utf16(beginning: bytes, name: str) -> None:
    """Raises: JobError for a file that begins with another encoding's mark."""
    if beginning.startswith(UTF16_MARKS):
        raise JobError("UsageError", f"{name} is UTF-16", "save it as UTF-8")


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
        hint = SAVE_AS_UTF8 if error.is_encoding else ONE_OBJECT
        raise JobError("UsageError", f"{place}: {error}", hint) from None


def json_of(line: bytes) -> AnyRow:
    """Raises: NotJsonError with the reason."""
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError as error:
        reason = f"no UTF-8 at byte {error.start} of the line"
        raise NotJsonError(reason, is_encoding=True) from None
    except json.JSONDecodeError as error:
        reason = f"no JSON at character {error.pos} of the line: {error.msg}"
    except (ValueError, RecursionError) as error:
        reason = f"no JSON that can be read: {error}"
    raise NotJsonError(reason)
