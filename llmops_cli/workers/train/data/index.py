"""The index of one file: where its rows begin, made once and mapped into memory by every rank.

It lies in a folder of the cache that is named after the file's identity: path, size and time.
"""

import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from _shared.data.kinds import TEXT
from _shared.protocol import JobError, Json
from train.data.cache import used
from train.data.converted import convert, is_plain
from train.data.files import File
from train.data.scan import FoundRows, scan_lines, scan_text

VERSION = 1
"""Of what lies in an index; another one is made anew."""
FACTS = "index.json"
ROWS = "rows.jsonl"
BEGINS = "begins.i64"
CHECKSUMS = "checksums.u32"

Report = Callable[[str, float, float], None]
"""A stage, how many bytes are done, and of how many."""


class Identity(NamedTuple):
    """What a file is, as long as nobody writes to it."""

    path: str
    size_bytes: int
    modified_ns: int


class Written(NamedTuple):
    """How many rows there are, and what distinguishes their bytes from others."""

    samples: int
    content: str


class Facts(NamedTuple):
    """`source`: whose rows they are; `rows`: the file that holds them, which may be the same."""

    source: Identity
    rows: Identity
    kind: str
    samples: int
    content: str


class Making(NamedTuple):
    """What an index is made of."""

    file: File
    source: Identity
    piece_bytes: int
    with_checksums: bool
    report: Report


def identity_of(path: Path) -> Identity:
    found = path.stat()
    return Identity(str(path.resolve()), found.st_size, found.st_mtime_ns)


def changed(file: Identity) -> JobError | None:
    """What is to be said if the file is not any more what has been indexed."""
    try:
        now = identity_of(Path(file.path))
    except OSError as error:
        return JobError("UsageError", f"{file.path} cannot be read any more: {error.strerror}")
    if now == file:
        return None
    message = f"{file.path} has changed since it was indexed"
    return JobError("UsageError", message, "leave data alone while they are trained on")


def read_facts(folder: Path) -> Facts:
    raw = json.loads((folder / FACTS).read_text())
    source = Identity(*raw["source"])
    rows = Identity(*raw["rows"])
    return Facts(source, rows, raw["kind"], raw["samples"], raw["content"])


def indexed(
    file: File,
    cache: Path,
    *,
    piece_bytes: int,
    report: Report,
    share: float = 0.0,
) -> Path:
    """The folder of the file's index; made now if nobody has. Two at once: one waits.

    With a `share` for validation, both sides are written too.

    Raises: JobError for a file whose rows are not what its kind promises, or without any.
    """
    source = identity_of(file.path)
    parts: list[Any] = [VERSION, *source, file.kind]
    if file.kind == TEXT:
        parts.append(piece_bytes)
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
    folder = cache / key
    with_checksums = share > 0
    making = Making(file, source, piece_bytes, with_checksums, report)
    with _locked(cache / f"{key}.lock"):
        if not _is_whole(folder, with_checksums=with_checksums):
            _make(folder, making)
        if with_checksums:
            _write_split(folder, share)
        used(folder)
    return folder


def split_rows(
    folder: Path,
    share: float,
    *,
    is_validation: bool,
) -> NDArray[np.int64] | None:
    """Numbers of the rows on one side, mapped; None for all of them."""
    if share == 0:
        return None
    side = "validation" if is_validation else "training"
    return mapped(folder / f"{side}-{share:g}.i64", np.int64)


def _write_split(folder: Path, share: float) -> None:
    """Both sides, by the rows' checksums."""
    checksums = mapped(folder / CHECKSUMS, np.uint32)
    is_held_out = checksums < share * 2.0**32
    sides = {"training": ~is_held_out, "validation": is_held_out}
    for name, chosen in sides.items():
        path = folder / f"{name}-{share:g}.i64"
        if not path.exists():
            temporary = path.with_suffix(".tmp")
            np.flatnonzero(chosen).astype(np.int64).tofile(temporary)
            temporary.replace(path)


def mapped(path: Path, kind: type[Any]) -> NDArray[Any]:
    """An array of a file; no map can be made of an empty one."""
    if not path.stat().st_size:
        return np.empty(0, kind)
    return np.memmap(path, kind, mode="r")


def _is_whole(folder: Path, *, with_checksums: bool) -> bool:
    """The facts are written last. A converted file must still be what has been indexed."""
    if with_checksums and not (folder / CHECKSUMS).exists():
        return False
    try:
        facts = read_facts(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return changed(facts.rows) is None


def _make(folder: Path, making: Making) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    temporary = folder.with_suffix(".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        rows = making.file.path
        if not is_plain(making.file):
            making.report(f"unpacking {rows.name}", 0, 1)
            convert(making.file, temporary / ROWS)
            rows = temporary / ROWS
        written = _write_index(temporary, rows, making)
        error = changed(making.source)
        if error is not None:
            raise error
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _write_facts(folder, making, written)


def _write_index(folder: Path, rows: Path, making: Making) -> Written:
    size_bytes = rows.stat().st_size
    samples = 0
    content = 0
    done_bytes = 0
    with (folder / BEGINS).open("wb") as begins, (folder / CHECKSUMS).open("wb") as checksums:
        for some in _scan(rows, making):
            _write(begins, some.begins)
            if some.checksums is not None:
                _write(checksums, some.checksums)
            samples += len(some.begins)
            content = zlib.crc32(some.block, content)
            done_bytes += len(some.block)
            making.report(f"indexing {making.file.path.name}", done_bytes, size_bytes)
        _write(begins, np.array([size_bytes], np.int64))
    if not samples:
        raise JobError("UsageError", f"{making.file.path} holds no samples")
    if not making.with_checksums:
        (folder / CHECKSUMS).unlink()
    return Written(samples, f"{content:08x}-{size_bytes}")


def _scan(rows: Path, making: Making) -> Iterator[FoundRows]:
    name = str(making.file.path)
    with_checksums = making.with_checksums
    if making.file.kind == TEXT:
        return scan_text(rows, name, making.piece_bytes, with_checksums=with_checksums)
    return scan_lines(rows, name, with_checksums=with_checksums)


def _write_facts(folder: Path, making: Making, written: Written) -> None:
    """Last of all, and in place: where a converted file lies is part of them."""
    rows = making.source
    if not is_plain(making.file):
        rows = identity_of(folder / ROWS)
    facts: Json = {
        "source": making.source,
        "rows": rows,
        "kind": making.file.kind,
        "samples": written.samples,
        "content": written.content,
    }
    temporary = folder / f"{FACTS}.tmp"
    temporary.write_text(json.dumps(facts))
    temporary.replace(folder / FACTS)


def _write(file: BinaryIO, array: NDArray[Any]) -> None:
    file.write(array.tobytes())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
