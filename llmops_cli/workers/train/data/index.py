"""The index of one file: where its rows begin, made once and mapped into memory by every rank.

It lies in a folder of the cache that is named after the file's identity: path, size and time.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from _shared.protocol import JobError, Json
from train.data.converted import convert, is_plain
from train.data.files import TEXT, File
from train.data.scan import scan_lines, scan_text

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


class Facts(NamedTuple):
    """`source`: whose rows they are; `rows`: the file that holds them, which may be the same."""

    source: Identity
    rows: Identity
    kind: str
    samples: int
    content: str


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
) -> Path:
    """The folder of the file's index; made now if nobody has. Two at once: one waits.

    Raises: JobError for a file whose rows are not what its kind promises, or without any.
    """
    source = identity_of(file.path)
    parts: list[Any] = [VERSION, *source, file.kind]
    if file.kind == TEXT:
        parts.append(piece_bytes)
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
    folder = cache / key
    with _locked(cache / f"{key}.lock"):
        if not _is_whole(folder):
            _make(folder, file, source, piece_bytes=piece_bytes, report=report)
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
    path = folder / f"{'validation' if is_validation else 'training'}-{share:g}.i64"
    return mapped(path, np.int64)


def write_split(folder: Path, share: float) -> None:
    """Both sides of `share`, by the rows' checksums."""
    if share == 0:
        return
    checksums = mapped(folder / CHECKSUMS, np.uint32)
    is_held_out = checksums < share * 2.0**32
    sides = {"training": ~is_held_out, "validation": is_held_out}
    with _locked(folder.with_suffix(".lock")):
        for name, chosen in sides.items():
            path = folder / f"{name}-{share:g}.i64"
            temporary = path.with_suffix(".tmp")
            np.flatnonzero(chosen).astype(np.int64).tofile(temporary)
            temporary.replace(path)


def mapped(path: Path, kind: type[Any]) -> NDArray[Any]:
    """An array of a file; no map can be made of an empty one."""
    if not path.stat().st_size:
        return np.empty(0, kind)
    return np.memmap(path, kind, mode="r")


def _is_whole(folder: Path) -> bool:
    """The facts are written last. A converted file must still be what has been indexed."""
    try:
        facts = read_facts(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return changed(facts.rows) is None


def _make(
    folder: Path,
    file: File,
    source: Identity,
    *,
    piece_bytes: int,
    report: Report,
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    temporary = folder.with_suffix(".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        rows = file.path
        if not is_plain(file):
            report(f"unpacking {file.path.name}", 0, 1)
            rows = temporary / ROWS
            convert(file, rows)
        count = _write_index(temporary, rows, file, piece_bytes=piece_bytes, report=report)
        _finish(temporary, folder, file, source, count=count)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_index(
    folder: Path,
    rows: Path,
    file: File,
    *,
    piece_bytes: int,
    report: Report,
) -> int:
    name = str(file.path)
    found = scan_lines(rows, name)
    if file.kind == TEXT:
        found = scan_text(rows, name, piece_bytes)
    size_bytes = rows.stat().st_size
    count = 0
    with (folder / BEGINS).open("wb") as begins, (folder / CHECKSUMS).open("wb") as checksums:
        for some in found:
            _write(begins, some.begins)
            _write(checksums, some.checksums)
            count += len(some.begins)
            if len(some.begins):
                report(f"indexing {file.path.name}", float(some.begins[-1]), size_bytes)
        _write(begins, np.array([size_bytes], np.int64))
    if not count:
        raise JobError("UsageError", f"{file.path} holds no samples")
    return count


def _finish(
    temporary: Path,
    folder: Path,
    file: File,
    source: Identity,
    *,
    count: int,
) -> None:
    """Renamed first, since a converted file's place is part of the facts."""
    error = changed(source)
    if error is not None:
        raise error
    temporary.rename(folder)
    rows = source if is_plain(file) else identity_of(folder / ROWS)
    content = hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()
    facts: Json = {
        "source": source,
        "rows": rows,
        "kind": file.kind,
        "samples": count,
        "content": content,
    }
    written = folder / f"{FACTS}.tmp"
    written.write_text(json.dumps(facts))
    written.replace(folder / FACTS)


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
