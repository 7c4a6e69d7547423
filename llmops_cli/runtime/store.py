"""Files that are whole or absent: atomic writes, run folders, digests, disk-space checks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.report import Report, decode_report


def cannot_write(path: Path, error: OSError) -> EnvironmentMissing:
    """The error for a file that could not be written, by its cause."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentMissing(
            f"no space left writing {path}", hint="free some space, or choose another -o"
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return EnvironmentMissing(
        f"cannot write {path}: {reason}", hint="choose a folder you may write with -o"
    )


def write_atomic(path: Path, content: bytes) -> None:
    """Writes through a temporary name in the same folder, so `path` is never half written.

    Raises: EnvironmentMissing on a full disk or a folder that cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def to_json(value: object) -> bytes:
    """Indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def make_run_dir(command: str, slug: str, *, base: Path | None = None) -> Path:
    """A new folder <base>/<utc>-<command>-<slug>; `base` is ./results."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{stamp}-{command}-{re.sub(r'[^A-Za-z0-9._-]+', '-', slug).strip('-')[:60] or 'run'}"
    base = base or Path("results")
    for attempt in range(1000):
        path = base / (name if attempt == 0 else f"{name}-{attempt + 1}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise cannot_write(path, error) from error
        return path
    raise EnvironmentMissing(f"cannot find a free name for {base / name}")


def load_report(path: Path) -> Report:
    """The report at `path`, or at `path`/report.json."""
    if path.is_dir():
        path /= "report.json"
    try:
        return decode_report(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"no report at {path}") from None


def digest_file(path: Path) -> str:
    """sha256 of the content, as `sha256:<hex>`."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def digest_path(path: Path) -> str:
    """A file's digest, or one over the names and digests of a folder's visible files."""
    if path.is_file():
        return digest_file(path)
    whole = hashlib.sha256()
    for child in sorted(path.rglob("*")):
        if child.is_file() and not child.name.startswith("."):
            whole.update(f"{child.relative_to(path).as_posix()}\0{digest_file(child)}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def digest_value(value: object) -> str:
    """sha256 of the canonical JSON of a recipe or any plain value."""
    return f"sha256:{hashlib.sha256(msgspec.json.encode(value, order='deterministic')).hexdigest()}"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(child.stat().st_size for child in path.rglob("*") if child.is_file())


def require_space(folder: Path, need_bytes: int, *, what: str) -> None:
    """Raises EnvironmentMissing now rather than ENOSPC in an hour."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < need_bytes:
        raise EnvironmentMissing(
            f"{what} needs {need_bytes / 1e6:,.0f} MB in {folder}; {free / 1e6:,.0f} MB are free",
            hint="free some space, or choose another -o",
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time makes what `path` names; others wait, then find it made."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = lock.open("w")
    except OSError as error:
        raise cannot_write(lock, error) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def copy_model(source: Path, target: Path) -> None:
    """Copies a model folder; the target appears whole or not at all.

    Raises: UsageError if something is there already.
    """
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty", hint="choose another -o")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns(".*"))
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise cannot_write(target, error) from error
