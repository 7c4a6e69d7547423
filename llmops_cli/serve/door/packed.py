"""Bodies that come packed: gzip, deflate, zstd.

They are unpacked in a thread, piece by piece, and no further than a body may be long.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from io import BytesIO

from llmops_cli.serve.refusal import Refusal


class Coding(StrEnum):
    """As Content-Encoding names it."""

    GZIP = "gzip"
    DEFLATE = "deflate"
    ZSTD = "zstd"


TAKEN = ", ".join(Coding)
ALIASES = {"x-gzip": "gzip"}
PIECE_BYTES = 64 << 10
MEMBERS_MOST = 64
"""Files in one body of gzip, or frames of zstd, which may be a row of them."""
WINDOW_MOST = 8 << 20
"""Of zstd, as RFC 9659 bounds it for HTTP."""
GZIP_BITS = 31
ZLIB_BITS = 15
RAW_BITS = -15
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="unpack")
"""Few, so that a crowd of such bodies leaves the loop its share of a core."""


class Malformed(Exception):
    """It is not what it is called, or not whole."""


def too_large(most: int) -> Refusal:
    return Refusal(413, f"the body is larger than {most:,} bytes", code="too_large")


def coding_of(value: bytes, *, before: Coding | None) -> Coding | None:
    """`before`: that of a header that came earlier. Raises: Refusal for another, or two."""
    names = [name.strip().lower() for name in value.decode("latin-1").split(",")]
    packed = [ALIASES.get(name, name) for name in names if name not in ("identity", "")]
    if not packed:
        return before
    if before is not None or len(packed) > 1 or packed[0] not in READERS:
        raise Refusal(
            415,
            f"a body may be packed once, as one of {TAKEN}",
            code="unsupported",
            headers=[(b"accept-encoding", TAKEN.encode())],
        )
    return Coding(packed[0])


async def unpacked(packed: bytes, coding: Coding, *, most: int) -> bytes:
    """Raises: Refusal for what is longer, or is broken."""
    try:
        found = await asyncio.get_running_loop().run_in_executor(
            _THREADS, _joined, READERS[coding](packed), most
        )
    except (Malformed, zlib.error):
        raise Refusal(400, f"the body is no whole {coding}", code="invalid_body") from None
    if found is None:
        raise too_large(most)
    return found


def _joined(pieces: Iterator[bytes], most: int) -> bytes | None:
    """None: there is more than that."""
    parts = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            return None
        parts.append(piece)
    return b"".join(parts)


def _gzip(packed: bytes) -> Iterator[bytes]:
    """Raises: Malformed; zlib.error."""
    rest = memoryview(packed)
    for _ in range(MEMBERS_MOST):
        taken = yield from _inflated(rest, GZIP_BITS)
        rest = rest[taken:]
        if not rest:
            return
    raise Malformed


def _deflate(packed: bytes) -> Iterator[bytes]:
    """With zlib's head, as it should be, or bare, as some send it.

    Raises: Malformed; zlib.error.
    """
    has_head = len(packed) > 1 and packed[0] & 15 == 8 and (packed[0] << 8 | packed[1]) % 31 == 0
    taken = yield from _inflated(memoryview(packed), ZLIB_BITS if has_head else RAW_BITS)
    if taken != len(packed):
        raise Malformed


def _inflated(packed: memoryview, bits: int) -> Generator[bytes, None, int]:
    """What one stream of zlib's holds; in the end how many bytes it took.

    Raises: Malformed if it does not end; zlib.error.
    """
    unpacker = zlib.decompressobj(bits)
    for start in range(0, len(packed), PIECE_BYTES):
        piece = bytes(packed[start : start + PIECE_BYTES])
        end = start + len(piece)
        while piece:
            yield unpacker.decompress(piece, PIECE_BYTES)
            if unpacker.eof:
                return end - len(unpacker.unused_data)
            piece = unpacker.unconsumed_tail
    while not unpacker.eof:
        held = unpacker.decompress(b"", PIECE_BYTES)
        if not held:
            raise Malformed
        yield held
    return len(packed)


def _zstd(packed: bytes) -> Iterator[bytes]:
    """A frame that is cut off gives what there is of it, which is no JSON then.

    Raises: Malformed.
    """
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW_MOST)
    frames = 0
    try:
        with unpacker.stream_reader(BytesIO(packed)) as reader:
            while piece := reader.read(PIECE_BYTES):
                yield piece
                frames += len(piece) < PIECE_BYTES
                if frames > MEMBERS_MOST:
                    raise Malformed
    except zstandard.ZstdError:
        raise Malformed from None


READERS: dict[Coding, Callable[[bytes], Iterator[bytes]]] = {
    Coding.GZIP: _gzip,
    Coding.DEFLATE: _deflate,
    Coding.ZSTD: _zstd,
}
