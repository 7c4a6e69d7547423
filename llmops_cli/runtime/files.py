"""Files that are whole or absent: atomic writes, locks, copies, disk-space checks."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.runtime.digests import visible_files
from llmops_cli.runtime.paths import cache_dir, config_dir

Leaving = Callable[[str, list[str]], Iterable[str]]
"""Names in a folder, of those that are there, which are not copied."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def cannot_write(path: Path, error: OSError) -> EnvironmentMissing:
    """The error for a file that could not be written; its hint by whose file it is."""
    if error.errno in NO_SPACE:
        message = f"no space left writing {path}"
        elsewhere = f"free some space, or {_elsewhere(path)}"
    else:
        message = f"cannot write {path}: {_reason(path, error)}"
        elsewhere = _elsewhere(path)
    return EnvironmentMissing(message, hint=elsewhere)


def _reason(path: Path, error: OSError) -> str:
    """In the system's words, but for a path that leads through what is no folder."""
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        for above in path.parents:
            if above.exists() and not above.is_dir():
                return f"{above} is no folder"
    if error.errno:
        return os.strerror(error.errno)
    return str(error)


def _elsewhere(path: Path) -> str:
    """How the user can have this file in another place."""
    absolute = path.absolute()
    with suppress(EnvironmentMissing):  # who has no home has no cache either
        if absolute.is_relative_to(cache_dir()):
            return "set XDG_CACHE_HOME to a folder that you may write"
    if absolute.is_relative_to(config_dir()):
        return "set XDG_CONFIG_HOME to a folder that you may write"
    return "choose a folder you may write with -o"


def write_atomic(path: Path, content: bytes) -> None:
    """Writes through a temporary name in the same folder, so `path` is never half written.

    A link stays one, and a device or a pipe is written to, never replaced.

    Raises: UsageError for a folder; EnvironmentMissing on a full disk or a folder that cannot be
    written.
    """
    if _is_no_file(path):
        _write_through(path, content)
        return
    with _beside(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A name to write to; `path` has what stands there when all is well, or stays as it was.

    Links, devices and pipes, and what is raised: as `write_atomic` has them.
    """
    if not _is_no_file(path):
        with _beside(path) as temporary:
            yield temporary
        return
    with TemporaryDirectory() as folder:
        aside = Path(folder) / "content"
        try:
            yield aside
            content = aside.read_bytes()
        except OSError as error:
            raise cannot_write(path, error) from error
        _write_through(path, content)


def _is_no_file(path: Path) -> bool:
    """But a device or a pipe, also by a name of which no path is left (/dev/stdout).

    Raises: UsageError for a folder.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="-o names a file here")
    return path.exists() and not path.is_file()


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary name; what stands there is on the disk before it is `path`."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_through(path: Path, content: bytes) -> None:
    try:
        with path.open("wb", buffering=0) as device:
            device.write(content)
    except OSError as error:
        raise cannot_write(path, error) from error


def make_folder(path: Path) -> None:
    """Makes the folder that a user chose, unless it is there.

    Raises: UsageError if a file is there; EnvironmentMissing if it cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file", hint="-o names a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def require_folder(path: Path | None) -> None:
    """That a folder which a user chose is there or can be made, before the work that fills it.

    Raises: UsageError if a file is there; EnvironmentMissing if it may not be written.
    """
    if path is None:
        return
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file", hint="-o names a folder")
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UsageError(f"{path}: {there} is a file", hint="-o names a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise cannot_write(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def to_json(value: object) -> bytes:
    """Indented JSON with a final newline."""
    compact = msgspec.json.encode(value)
    return msgspec.json.format(compact, indent=2) + b"\n"


def size_of(path: Path) -> int:
    """Bytes of a file, or of the visible files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(child.stat().st_size for child in visible_files(path))


def require_space(
    folder: Path,
    need_bytes: int,
    *,
    what: str,
) -> None:
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
    with _held(lock):
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """As `locked`, for what two processes must not even wish at once.

    Raises: UsageError naming the process that has it.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        handle = _held(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = lock.read_text(encoding="utf-8").strip() or "another process"
        raise UsageError(
            f"{path} is in use by {owner}",
            hint="wait for it, end it, or choose another -o",
        ) from None
    with handle:
        handle.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        handle.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()


def _held(lock: Path, kind: int = fcntl.LOCK_EX) -> IO[str]:
    """The open lock file, ours. One that its last owner removed while we waited is no lock."""
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = lock.open("a", encoding="utf-8")
        except OSError as error:
            raise cannot_write(lock, error) from error
        try:
            fcntl.flock(handle, kind)
        except BlockingIOError:
            handle.close()
            raise
        with suppress(FileNotFoundError):
            ours = os.fstat(handle.fileno())
            if os.path.samestat(ours, lock.stat()):
                handle.truncate(0)
                return handle
        handle.close()


def copy_folder(source: Path, target: Path, *, leaving: Leaving) -> None:
    """Copies a folder to where there is none, or an empty one.

    Raises: EnvironmentMissing, on a full disk too; nothing of the copy is left then.
    """
    failures: list[OSError] = []

    def copy_file(name: str, copy: str) -> None:
        try:
            shutil.copy2(name, copy)
        except OSError as error:
            failures.append(error)
            raise

    try:
        shutil.copytree(
            source,
            target,
            ignore=leaving,
            copy_function=copy_file,
            dirs_exist_ok=True,
        )
    except OSError as error:  # shutil's own has words of each file, and no number
        shutil.rmtree(target, ignore_errors=True)
        raise cannot_write(target, failures[0] if failures else error) from error


def copy_model(source: Path, target: Path) -> None:
    """Copies a model folder; the target appears whole or not at all.

    Raises: UsageError if something is there already.
    """
    is_taken = target.exists() and any(target.iterdir())
    if is_taken:
        raise UsageError(f"{target} is not empty", hint="choose another -o")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    copy_folder(source, partial, leaving=shutil.ignore_patterns(".*"))
    try:
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise cannot_write(target, error) from error


def remove(path: Path) -> None:
    """A file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
