"""Where the rows of a file begin, found in blocks: memory stays flat, however long the file is.

A row's checksum decides on its split, so it stays on its side when the file grows.
"""

import codecs
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from _shared.data.plain import DOCUMENT_END
from _shared.protocol import JobError
from _shared.rows import BLANK, BOM, ONE_OBJECT, SAVE_AS_UTF8, parsed, refuse_utf16

Offsets = NDArray[np.int64]

BLOCK_BYTES = 1 << 20
LONGEST_ROW_BYTES = 1 << 28
SLACK_BYTES = 64
"""Behind a piece, so that the mark of a document's end is seen whole."""
NEWLINE = ord("\n")
RETURN = ord("\r")


def _bytes_in(characters: str) -> NDArray[np.bool_]:
    """For each byte whether it is one of them: an index into this is the fastest test."""
    table = np.zeros(256, np.bool_)
    table[[ord(character) for character in characters]] = True
    return table


OPENS_ROW = _bytes_in('{"')
CLOSES_ROW = _bytes_in('}"')


class FoundRows(NamedTuple):
    """Some more rows: where each begins in the file, and its checksum if that was asked for.

    `block`: the bytes in which they lie.
    """

    begins: NDArray[np.int64]
    checksums: NDArray[np.uint32] | None
    block: bytes


def scan_lines(
    path: Path,
    name: str,
    *,
    with_checksums: bool,
) -> Iterator[FoundRows]:
    """Rows of JSONL. `name`: what the user calls the file.

    Raises: JobError naming the first line that is no UTF-8, or neither object nor text.
    """
    with path.open("rb") as file:
        offset = _skip_mark(file, name)
        lines = 0
        for block in _whole_lines(file, name):
            ends = _line_ends(block)
            _check_utf8(block, lines, name)
            begins, stops = _rows_in(block, ends, lines, name)
            checksums = _checksums(block, begins, stops) if with_checksums else None
            yield FoundRows(begins + offset, checksums, block)
            offset += len(block)
            lines += len(ends)


def scan_text(
    path: Path,
    name: str,
    piece_bytes: int,
    *,
    with_checksums: bool,
) -> Iterator[FoundRows]:
    """Pieces of plain text: documents, and long ones cut behind a line where possible."""
    needed = piece_bytes + SLACK_BYTES
    with path.open("rb") as file:
        offset = _skip_mark(file, name)
        buffer = file.read(BLOCK_BYTES)
        while buffer:
            more = file.read(max(BLOCK_BYTES, needed))
            buffer += more
            stops = list(_piece_ends(buffer, piece_bytes, needed=needed if more else 1))
            used = stops[-1] if stops else 0
            block = buffer[:used]
            _check_text(block, name, offset)
            begins = np.array([0, *stops][: len(stops)], np.int64)
            ends = np.array(stops, np.int64)
            checksums = _checksums(block, begins, ends) if with_checksums else None
            yield FoundRows(begins + offset, checksums, block)
            buffer = buffer[used:]
            offset += used


def _skip_mark(file: BinaryIO, name: str) -> int:
    beginning = file.read(len(BOM))
    refuse_utf16(beginning, name)
    if beginning == BOM:
        return len(BOM)
    file.seek(0)
    return 0


def _whole_lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Blocks that end with a line."""
    parts: list[bytes] = []
    while block := file.read(BLOCK_BYTES):
        cut = block.rfind(b"\n") + 1
        if not cut:
            parts.append(block)
            if len(parts) * BLOCK_BYTES > LONGEST_ROW_BYTES:
                megabytes = LONGEST_ROW_BYTES >> 20
                message = f"{name}: a line is longer than {megabytes} MB"
                raise JobError("UsageError", message, "JSONL has one sample a line")
            continue
        parts.append(block[:cut])
        yield b"".join(parts)
        parts = [block[cut:]]
    last = b"".join(parts)
    if last:
        yield last


def _line_ends(block: bytes) -> Offsets:
    """Of the line feeds; the last line of a file may have none."""
    bytes_N = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(bytes_N == NEWLINE)
    if block[-1] != NEWLINE:
        ends = np.append(ends, len(block))
    return ends


def _rows_in(
    block: bytes,
    ends: Offsets,
    lines: int,
    name: str,
) -> tuple[Offsets, Offsets]:
    """Begins and ends of lines that are not blank; what does not look like a row is read."""
    bytes_N = np.frombuffer(block, np.uint8)
    begins = np.empty_like(ends)
    begins[0] = 0
    begins[1:] = ends[:-1] + 1
    stops = ends - (bytes_N[np.maximum(ends - 1, 0)] == RETURN)
    stops = np.maximum(stops, begins)
    first = bytes_N[np.minimum(begins, len(block) - 1)]
    last = bytes_N[np.maximum(stops - 1, 0)]
    kept = stops > begins
    is_usual = OPENS_ROW[first] & CLOSES_ROW[last]
    for index in np.flatnonzero(kept & ~is_usual).tolist():
        line = block[begins[index] : stops[index]].strip(BLANK)
        kept[index] = bool(line)
        if line:
            _check_row(line, f"{name}:{lines + index + 1}")
    return begins[kept], stops[kept]


def _check_row(line: bytes, place: str) -> None:
    if not isinstance(parsed(line, place), dict | str):
        raise JobError("UsageError", f"{place}: a row is an object, or a text", ONE_OBJECT)


def _check_utf8(block: bytes, lines: int, name: str) -> None:
    try:
        codecs.utf_8_decode(block, "strict", True)
    except UnicodeDecodeError as error:
        line = lines + block.count(b"\n", 0, error.start) + 1
        raise JobError("UsageError", f"{name}:{line}: no UTF-8", SAVE_AS_UTF8) from None


def _checksums(block: bytes, begins: Offsets, ends: Offsets) -> NDArray[np.uint32]:
    view = memoryview(block)
    pairs = zip(begins.tolist(), ends.tolist(), strict=True)
    return np.array([zlib.crc32(view[begin:end]) for begin, end in pairs], np.uint32)


def _piece_ends(buffer: bytes, piece_bytes: int, needed: int) -> Iterator[int]:
    """As long as `needed` bytes are left, so that more to come cannot change a piece."""
    at = 0
    while len(buffer) - at >= needed:
        at = _piece_end(buffer, at, piece_bytes)
        yield at


def _piece_end(buffer: bytes, at: int, piece_bytes: int) -> int:
    """Behind the end of a document, else behind a line, else behind a character."""
    most = at + piece_bytes
    divider = buffer.find(DOCUMENT_END, at, most)
    if divider >= 0:
        stop = divider + len(DOCUMENT_END)
        rest = buffer[stop : stop + 2]
        return stop + len(rest) - len(rest.lstrip(b"\r\n"))
    if most >= len(buffer):
        return len(buffer)
    line = buffer.rfind(b"\n", at + piece_bytes // 2, most)
    if line >= 0:
        return line + 1
    while most > at + 1 and 0x80 <= buffer[most] < 0xC0:
        most -= 1
    return most


def _check_text(block: bytes, name: str, offset: int) -> None:
    try:
        codecs.utf_8_decode(block, "strict", True)
    except UnicodeDecodeError as error:
        message = f"{name}: no UTF-8 at byte {offset + error.start}"
        raise JobError("UsageError", message, SAVE_AS_UTF8) from None
