"""Texts and lines of JSON in files that we did not write: UTF-8, cut at line feeds only, or packed.

The workers' `_shared/rows.py` reads the same way; neither may import the other.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE

BOM = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
BLANK = b" \t\r\n"
OPENERS: dict[str, Callable[[Path], object]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""How a packed file is read, by the end of its name."""
UNPACKING_ERRORS = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
SAVE_AS_UTF8 = "save it as UTF-8, such as by: iconv -f LATIN1 -t UTF-8"
ONE_OBJECT = "one JSON object a line"


def rows_in(path: Path) -> Iterator[tuple[int, Any]]:  # Any: whatever JSON a data set holds
    """Each row with the number of its line. Raises: UsageError naming the line that is no JSON."""
    for number, line in lines_in(path):
        yield number, json_of(line, f"{path}, line {number}")


def lines_in(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank, with its number from 1, without a byte order mark.

    Raises: UsageError for a packed file that cannot be unpacked, or another encoding.
    """
    for number, line in enumerate(_raw_lines(path), 1):
        stripped = line.strip(BLANK)
        if stripped:
            yield number, stripped


def text_lines(path: Path) -> Iterator[str]:
    """Each line with its end, as text. Raises: UsageError naming what is no UTF-8."""
    for number, line in enumerate(_raw_lines(path), 1):
        yield _decoded_line(line, f"{path}, line {number}")


def read_text(path: Path) -> str:
    """A whole text, without a byte order mark.

    Raises: UsageError naming the byte that is no UTF-8; OSError for a file that is not there.
    """
    return "".join(text_lines(path))


def decoded(raw: bytes, name: str) -> str:
    """The text of these bytes. Raises: UsageError naming the line and byte that is no UTF-8."""
    _refuse_utf16(raw, name)
    lines = raw.removeprefix(BOM).split(b"\n")
    return "\n".join(
        _decoded_line(line, f"{name}, line {number}") for number, line in enumerate(lines, 1)
    )


def json_of(line: bytes, where: str) -> Any:  # Any: whatever JSON the line holds
    """Raises: UsageError that begins with `where`."""
    try:
        return msgspec.json.decode(line)
    except UNREADABLE:
        pass  # it is stricter than training's reader, which decides
    text = _decoded_line(line, where)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"no JSON at character {error.pos} of the line: {error.msg}"
    except (ValueError, RecursionError) as error:
        reason = f"no JSON that can be read: {error}"
    raise UsageError(f"{where}: {reason}", hint=ONE_OBJECT)


def kind_of_name(path: Path) -> str:
    """The end of the name, in small letters, of what may be packed: .jsonl of rows.jsonl.gz."""
    if path.suffix.lower() in OPENERS:
        path = path.with_suffix("")
    return path.suffix.lower()


def _raw_lines(path: Path) -> Iterator[bytes]:
    try:
        with _opened(path) as file:
            for number, line in enumerate(file):
                if number == 0:
                    _refuse_utf16(line, str(path))
                    line = line.removeprefix(BOM)
                yield line
    except UNPACKING_ERRORS as error:
        message = f"{path} cannot be unpacked: {error}"
        raise UsageError(message, hint="it may be cut short") from error


def _decoded_line(line: bytes, where: str) -> str:
    try:
        return codecs.decode(line, "utf-8")
    except UnicodeDecodeError as error:
        message = f"{where}: no UTF-8 at byte {error.start} of the line"
        raise UsageError(message, hint=SAVE_AS_UTF8) from None


def _refuse_utf16(beginning: bytes, name: str) -> None:
    if beginning.startswith(UTF16_MARKS):
        raise UsageError(f"{name} is UTF-16", hint="save it as UTF-8")


def _opened(path: Path) -> BinaryIO:
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        return path.open("rb")
    return cast("BinaryIO", opener(path))
