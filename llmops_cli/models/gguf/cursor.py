"""Reads numbers and texts of a GGUF file one after the other, never beyond its end."""

from __future__ import annotations

from mmap import mmap
from struct import Struct
from typing import NamedTuple, Protocol

Scalar = int | float | bool | str

STRING = 8
ARRAY = 9
SCALARS = {
    0: Struct("<B"),
    1: Struct("<b"),
    2: Struct("<H"),
    3: Struct("<h"),
    4: Struct("<I"),
    5: Struct("<i"),
    6: Struct("<f"),
    7: Struct("<?"),
    10: Struct("<Q"),
    11: Struct("<q"),
    12: Struct("<d"),
}
"""How a value of each type is written."""
U32 = SCALARS[4]
U64 = SCALARS[10]
MOST_NAME_BYTES = 1 << 16
MOST_KEPT_BYTES = 1 << 12
"""A longer text is passed over: a chat template, or a licence."""
MOST_STRINGS = 1 << 22
"""In all arrays of a file together: the largest vocabularies and their merges have a million."""


class BrokenError(ValueError):
    """What is wrong with the file, in a few words."""


class Window(NamedTuple):
    """Bytes of a file from `begin` on."""

    data: mmap | bytes
    begin: int

    @property
    def end(self) -> int:
        return self.begin + len(self.data)


class Pieces(Protocol):
    """A file that is read in pieces."""

    @property
    def size_bytes(self) -> int: ...

    def window(self, begin: int, count_bytes: int) -> Window:
        """At least those bytes, which the file has. Raises: BrokenError if they are too many."""


class Mapped:
    """A file on this machine: one piece."""

    def __init__(self, data: mmap) -> None:
        self._whole = Window(data, 0)

    @property
    def size_bytes(self) -> int:
        return len(self._whole.data)

    def window(self, begin: int, count_bytes: int) -> Window:
        return self._whole


class Cursor:
    """`at` is the byte that is read next."""

    def __init__(self, pieces: Pieces) -> None:
        self.at = 0
        self._pieces = pieces
        self._size_bytes = pieces.size_bytes
        self._window = Window(b"", 0)
        self._strings_left = MOST_STRINGS

    @property
    def left_bytes(self) -> int:
        return self._size_bytes - self.at

    def number(self, form: Struct) -> int | float | bool:
        window = self._holding(form.size)
        (value,) = form.unpack_from(window.data, self.at - window.begin)
        self.at += form.size
        found: int | float | bool = value
        return found

    def u32(self) -> int:
        return int(self.number(U32))

    def u64(self) -> int:
        return int(self.number(U64))

    def name(self) -> str:
        """Of a key or a tensor."""
        length = self.u64()
        if length > MOST_NAME_BYTES:
            raise BrokenError(f"a name of {length:,} bytes")
        return self._text(length)

    def value(self, kind: int) -> Scalar | None:
        """None for what is passed over: arrays, and texts too long to be told."""
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            self._skip_array()
            return None
        return self.number(_form_of(kind))

    def _string(self) -> str | None:
        length = self.u64()
        if length <= MOST_KEPT_BYTES:
            return self._text(length)
        self._skip(length)
        return None

    def _text(self, length: int) -> str:
        window = self._holding(length)
        begin = self.at - window.begin
        raw = window.data[begin : begin + length]
        self.at += length
        return raw.decode(errors="replace")

    def _skip_array(self) -> None:
        kind = self.u32()
        count = self.u64()
        if kind == ARRAY:
            raise BrokenError("an array of arrays")
        if kind == STRING:
            self._skip_strings(count)
            return
        self._skip(count * _form_of(kind).size)

    def _skip_strings(self, count: int) -> None:
        if count > self._strings_left or count * U64.size > self.left_bytes:
            raise BrokenError(f"an array of {count:,} texts")
        self._strings_left -= count
        while count:
            count = self._skip_in_window(count)
        self._require(0)

    def _skip_in_window(self, count: int) -> int:
        """How many of so many texts begin in windows after this one."""
        window = self._holding(U64.size)
        data = window.data
        at = self.at - window.begin
        end = len(data) - U64.size
        length_at = U64.unpack_from
        while count and at <= end:
            at += U64.size + length_at(data, at)[0]
            count -= 1
        self.at = window.begin + at
        return count

    def _holding(self, count_bytes: int) -> Window:
        """A window with the next bytes."""
        window = self._window
        if window.begin <= self.at and self.at + count_bytes <= window.end:
            return window
        self._require(count_bytes)
        self._window = self._pieces.window(self.at, count_bytes)
        return self._window

    def _skip(self, count_bytes: int) -> None:
        self._require(count_bytes)
        self.at += count_bytes

    def _require(self, count_bytes: int) -> None:
        if count_bytes > self.left_bytes:
            raise _cut()


def _form_of(kind: int) -> Struct:
    form = SCALARS.get(kind)
    if form is None:
        raise BrokenError(f"a value of type {kind}")
    return form


def _cut() -> BrokenError:
    return BrokenError("it ends within its list of contents")
