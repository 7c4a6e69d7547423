"""A state folder in one archive, taken while gateways serve from it: keys, spending, audit.

Caches and the buckets of limits begin anew: they say nothing that must not be lost.
"""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import msgspec

from llmops_cli import __version__
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.rating import FILE
from llmops_cli.serve.state import DATABASE, SCHEMA

MANIFEST = "manifest.json"
AUDIT = "audit.jsonl"
LINES = (AUDIT, FILE)
"""Files to which lines are added; users' ratings are one."""
FORMAT = 1
SETTLED_S = 1.5
"""Spending of keys without a budget is written down once a second."""
BYTES_MOST = 64 << 30
PIECE = 1 << 20
AUDIT_FILES = 16
"""Turned over by ourselves or by logrotate; more of them are none of ours."""


class StrangeMember(Exception):
    """An archive holds what no backup of ours has."""


class SavedFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    size_bytes: int
    sha256: str


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True):
    """`as_of`: the spending of every request that had ended by then is in it."""

    format: int = FORMAT
    version: str
    as_of: float
    keys: int
    spent_dollars: float
    spent_tokens: int
    files: list[SavedFile]


def backup(folder: Path, archive: Path) -> BackupManifest:
    """Whole or not at all. Raises: UsageError without a state; EnvironmentMissing."""
    if not (folder / DATABASE).is_file():
        raise UsageError(f"no state in {folder}", hint="set LLMOPS_STATE_DIR to the gateway's")
    if archive.exists():
        raise UsageError(f"{archive} is there already", hint="name another file")
    as_of = time.time()
    audits = {path.name: path.stat().st_size for path in _audit_files(folder)}
    time.sleep(SETTLED_S)
    try:
        with tempfile.TemporaryDirectory(prefix="llmops-backup-") as work:
            copy = Path(work) / DATABASE
            _copy_database(folder / DATABASE, copy)
            return _written(folder, copy, audits, archive, as_of)
    except (OSError, sqlite3.Error) as error:
        raise EnvironmentMissing(
            f"cannot write {archive}: {error}", hint="look at the disk's space and its rights"
        ) from error


def _audit_files(folder: Path) -> list[Path]:
    named = [path for name in LINES for path in folder.glob(f"{name}*")]
    found = [path for path in named if path.suffix != ".lock"]
    return sorted(path for path in found if path.is_file())[:AUDIT_FILES]


def _copy_database(source: Path, copy: Path) -> None:
    """By SQLite itself, page by page, beside those who write. What was reserved is nobody's there.

    Raises: sqlite3.Error.
    """
    reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    with closing(reading), closing(sqlite3.connect(copy)) as writing:
        reading.backup(writing)
        writing.executescript(SCHEMA)
        writing.execute("delete from reservations")
        writing.commit()
        writing.execute("pragma journal_mode=delete")


def _written(
    folder: Path,
    copy: Path,
    audits: dict[str, int],
    archive: Path,
    as_of: float,
) -> BackupManifest:
    beside = archive.with_name(f".{archive.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
                saved = [_add(tar, copy, copy.stat().st_size)]
                for name, size in audits.items():
                    if (folder / name).is_file():
                        saved.append(_add(tar, folder / name, size))
                manifest = _manifest(copy, saved, as_of)
                _add_bytes(tar, MANIFEST, msgspec.json.encode(manifest))
            file.flush()
            os.fsync(file.fileno())
        beside.rename(archive)
    finally:
        beside.unlink(missing_ok=True)
    return manifest


def _add(tar: tarfile.TarFile, path: Path, size: int) -> SavedFile:
    """So much of a file as there was when it was looked at: others append to it."""
    with path.open("rb") as file:
        size = min(size, os.fstat(file.fileno()).st_size)
        info = tarfile.TarInfo(path.name)
        info.size = size
        info.mode = 0o600
        digest = hashlib.sha256()
        tar.addfile(info, _Digested(file, digest))
    return SavedFile(name=path.name, size_bytes=size, sha256=digest.hexdigest())


def _add_bytes(tar: tarfile.TarFile, name: str, raw: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(raw)
    info.mode = 0o600
    tar.addfile(info, io.BytesIO(raw))


class _Digested(io.RawIOBase):
    """A file whose digest is known when it has been read."""

    def __init__(self, file: IO[bytes], digest: hashlib._Hash) -> None:
        self._file = file
        self._digest = digest

    def read(self, size: int = -1) -> bytes:
        raw = self._file.read(size)
        self._digest.update(raw)
        return raw


def _manifest(database: Path, saved: list[SavedFile], as_of: float) -> BackupManifest:
    with closing(sqlite3.connect(database)) as found:
        keys = int(found.execute("select count(*) from keys").fetchone()[0])
        spent = found.execute("select total(dollars), total(tokens) from spend").fetchone()
    return BackupManifest(
        version=__version__,
        as_of=as_of,
        keys=keys,
        spent_dollars=float(spent[0]),
        spent_tokens=int(spent[1]),
        files=saved,
    )


# Back again.


def restore(archive: Path, folder: Path) -> BackupManifest:
    """Into a folder without a state, whole or not at all. Raises: UsageError."""
    if (folder / DATABASE).exists() or any(list(folder.glob(f"{name}*")) for name in LINES):
        raise UsageError(
            f"{folder} has a state already", hint="set LLMOPS_STATE_DIR to an empty folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _no_place(folder, error) from error
    with tempfile.TemporaryDirectory(prefix=".restoring-", dir=folder) as work:
        manifest = unpack(archive, Path(work))
        names = [each.name for each in manifest.files]
        for name in sorted(names, key=lambda name: name == DATABASE):  # the database last
            (Path(work) / name).rename(folder / name)
    return manifest


def unpack(archive: Path, folder: Path) -> BackupManifest:
    """What the archive holds, checked.

    Raises: UsageError for what is no whole backup; EnvironmentMissing where `folder` cannot take
    it, so that nobody holds a good backup for a damaged one.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            digests = dict(_unpacked(tar, folder))
        raw = (folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(raw, type=BackupManifest)
        (folder / MANIFEST).unlink()
    except FileNotFoundError as error:
        name = Path(str(error.filename)).name
        raise UsageError(f"{archive} is no backup: there is no {name}") from None
    except StrangeMember as error:
        raise UsageError(f"{archive} is no backup: {error}") from None
    except (IsADirectoryError, PermissionError):
        raise  # nothing is known of what is in it
    except (OSError, EOFError, tarfile.TarError, zlib.error, msgspec.DecodeError, ValueError):
        raise UsageError(f"{archive} is no whole backup: it is cut, or of another kind") from None
    if manifest.format != FORMAT:
        raise UsageError(f"{archive} has format {manifest.format}, and {FORMAT} is read here")
    found = {each.name: each.sha256 for each in manifest.files}
    digests.pop(MANIFEST)
    if found != digests or DATABASE not in found:
        raise UsageError(f"{archive} is damaged: its files are not those of its manifest")
    return manifest


def _unpacked(tar: tarfile.TarFile, folder: Path) -> Iterator[tuple[str, str]]:
    """Each file's name and digest. Only names of ours, and nothing but files."""
    left = BYTES_MOST
    for info in tar:
        is_ours = info.name in (DATABASE, MANIFEST) or _is_audit(info.name)
        if not info.isreg() or not is_ours or info.size > left:
            raise StrangeMember(f"{info.name!r} stands in no backup")
        left -= info.size
        source = tar.extractfile(info)
        assert source is not None
        digest = hashlib.sha256()
        with _new_file(folder, info.name) as file:
            while piece := source.read(PIECE):
                digest.update(piece)
                _write(file, piece, folder)
        yield info.name, digest.hexdigest()


def _new_file(folder: Path, name: str) -> IO[bytes]:
    try:
        opened = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StrangeMember(f"{name!r} stands in it twice") from None
    except OSError as error:
        raise _no_place(folder, error) from error
    return os.fdopen(opened, "wb", buffering=0)


def _write(file: IO[bytes], piece: bytes, folder: Path) -> None:
    """All of it: a nearly full disk takes a part without an error. Raises: EnvironmentMissing."""
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _no_place(folder, error) from error


def _no_place(folder: Path, error: OSError) -> EnvironmentMissing:
    return EnvironmentMissing(
        f"cannot unpack a backup into {folder}: {os.strerror(error.errno or 0)}",
        hint="look at the disk's space and the folder's rights",
    )


def _is_audit(name: str) -> bool:
    is_plain = "/" not in name and "\\" not in name and ".." not in name
    return name.startswith(LINES) and is_plain and not name.endswith(".jsonl.lock")
