"""Bodies that an upstream packs although it was asked not to."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

from llmops_cli.serve.upstreams.errors import AnswerTooLarge, MalformedAnswer

UNPACKED_MOST = 64 << 20
"""Bytes of one answer."""
PIECE_MOST = 16 << 20
"""Bytes of what came in one read."""
SLICE = 256
"""Bytes of zstd at a time, which cannot be told how much to unpack: a block of it is four."""
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
ZLIB_METHOD = 8
GZIP_BEGINS = b"\x1f"
_TOO_MUCH = "it unpacks to too much"
"""Of one piece: no answer is packed so tightly, so this one is meant to fill the memory."""


class Packed(Protocol):
    """What comes packed, piece by piece. Raises: MalformedAnswer, AnswerTooLarge."""

    @property
    def is_whole(self) -> bool: ...

    def feed(self, data: bytes) -> bytes: ...


class Unpacker:
    """`encoding`: of the header Content-Encoding. Raises: MalformedAnswer for one we lack."""

    def __init__(self, encoding: bytes) -> None:
        name = encoding.strip().lower()
        kind = _KINDS.get(name)
        if kind is None:
            shown = name[:20].decode("latin-1")
            raise MalformedAnswer(f"it is packed as {shown!r}, which was not asked for")
        self._packed = kind()
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """What it stands for. Raises: MalformedAnswer, AnswerTooLarge."""
        found = self._packed.feed(data)
        self._size += len(found)
        if self._size > UNPACKED_MOST:
            raise AnswerTooLarge(UNPACKED_MOST)
        return found

    @property
    def is_whole(self) -> bool:
        return self._packed.is_whole


class _Zlib:
    """gzip, of one member or several behind one another (RFC 1952), and deflate."""

    def __init__(self) -> None:
        self._begun = False
        self._is_gzip = False
        self._unpacker = zlib.decompressobj(GZIP_OR_ZLIB)

    @property
    def is_whole(self) -> bool:
        return not self._begun or self._unpacker.eof

    def feed(self, data: bytes) -> bytes:
        if not self._begun:
            self._begun = True
            self._settle_form(data)
        parts = []
        left = PIECE_MOST
        while data:
            if self._unpacker.eof and not self._begin_member(data):
                break
            found = self._unpacked(data, left)
            left -= len(found)
            parts.append(found)
            data = self._unpacker.unused_data
        return b"".join(parts)

    def _begin_member(self, data: bytes) -> bool:
        """False for what is none: that is padding."""
        if not self._is_gzip or data[:1] != GZIP_BEGINS:
            return False
        self._unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
        return True

    def _unpacked(self, data: bytes, most: int) -> bytes:
        try:
            found = self._unpacker.decompress(data, most)
        except zlib.error as error:
            raise MalformedAnswer(f"it cannot be unpacked: {error}") from None
        if self._unpacker.unconsumed_tail:
            raise MalformedAnswer(_TOO_MUCH)
        return found

    def _settle_form(self, data: bytes) -> None:
        """Some say deflate and leave out the two bytes of zlib's header."""
        self._is_gzip = data[:1] == GZIP_BEGINS
        if not self._is_gzip and data[0] & 15 != ZLIB_METHOD:
            self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._wrong = zstandard.ZstdError
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj()
        self._begun = False

    @property
    def is_whole(self) -> bool:
        return not self._begun or self._unpacker.eof

    def feed(self, data: bytes) -> bytes:
        self._begun = True
        parts = []
        size = 0
        for start in range(0, len(data), SLICE):
            if self._unpacker.eof:
                break
            try:
                found = self._unpacker.decompress(data[start : start + SLICE])
            except self._wrong as error:
                raise MalformedAnswer(f"it cannot be unpacked: {error}") from None
            size += len(found)
            if size > PIECE_MOST:
                raise MalformedAnswer(_TOO_MUCH)
            parts.append(found)
        return b"".join(parts)


_KINDS: dict[bytes, Callable[[], Packed]] = {
    b"gzip": _Zlib,
    b"x-gzip": _Zlib,
    b"deflate": _Zlib,
    b"zstd": _Zstd,
}
