"""How much of a file is in main memory already, so that reading it costs no disk."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from pathlib import Path

WEIGHTS = (".safetensors", ".bin", ".gguf")
MAP_FAILED = ctypes.c_void_p(-1).value


def cached_share(path: Path) -> float | None:
    """Of a file's bytes, or of those of a folder's weights; None where the kernel tells not."""
    if not sys.platform.startswith("linux"):
        return None
    files = [path]
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.suffix in WEIGHTS]
    pages = 0
    cached = 0
    try:
        for file in files:
            found = _pages_of(file)
            pages += len(found)
            cached += found.count(1)
    except OSError:
        return None
    return cached / pages if pages else None


def _pages_of(file: Path) -> bytes:
    """A byte for each page: 1 if it is in memory. Raises: OSError."""
    size_bytes = file.stat().st_size
    if size_bytes == 0:
        return b""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    )
    descriptor = os.open(file, os.O_RDONLY)
    try:
        address = libc.mmap(None, size_bytes, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    finally:
        os.close(descriptor)
    if address == MAP_FAILED:
        raise OSError(ctypes.get_errno(), "mmap")
    place = ctypes.c_void_p(address)
    length = ctypes.c_size_t(size_bytes)
    residence = (ctypes.c_ubyte * -(-size_bytes // mmap.PAGESIZE))()
    failed = libc.mincore(place, length, residence)
    number = ctypes.get_errno()
    libc.munmap(place, length)
    if failed:
        raise OSError(number, "mincore")
    return bytes(page & 1 for page in residence)
