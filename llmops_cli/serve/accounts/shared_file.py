"""A file of fixed size that all processes of a machine map into memory and change under a lock."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from pathlib import Path

from llmops_cli.core.errors import EnvironmentMissing

NO_PREALLOCATION = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""Of file systems that keep no place for what is written later."""


class FileLock:
    """`with lock:` for one process at a time. The system drops the lock of one that is killed."""

    __slots__ = ("_file",)

    def __init__(self, file: int) -> None:
        self._file = file

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)


class SharedFile:
    """`memory` is the contents, `lock` what to hold while they are read or changed."""

    def __init__(
        self,
        path: Path,
        *,
        size: int,
        magic: bytes,
    ) -> None:
        """A file without the size and the first bytes that it should have begins anew.

        Raises: EnvironmentMissing, also where the disk has no place for all of it.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self.descriptor = os.open(path, flags, 0o600)
            self.lock = FileLock(self.descriptor)
            with self.lock:
                self._begin(size, magic)
                self._take_place(size)
                self.memory = mmap.mmap(self.descriptor, size)
        except OSError as error:
            message = f"cannot keep limits in {path}: {error.strerror}"
            hint = "move it away, or set LLMOPS_STATE_DIR"
            if error.errno == errno.ENOSPC:
                hint = f"it takes {size >> 20} MB; make room, or set LLMOPS_STATE_DIR"
            raise EnvironmentMissing(message, hint=hint) from error

    def _begin(self, size: int, magic: bytes) -> None:
        has_size = os.fstat(self.descriptor).st_size == size
        if has_size and os.pread(self.descriptor, len(magic), 0) == magic:
            return
        os.ftruncate(self.descriptor, 0)
        os.ftruncate(self.descriptor, size)
        os.pwrite(self.descriptor, magic, 0)

    def _take_place(self, size: int) -> None:
        """On the disk, for every row: a mapped page that finds none there ends the process.

        Raises: OSError.
        """
        if not hasattr(os, "posix_fallocate"):
            return
        try:
            os.posix_fallocate(self.descriptor, 0, size)
        except OSError as error:
            if error.errno not in NO_PREALLOCATION:
                raise

    def close(self) -> None:
        self.memory.close()
        os.close(self.descriptor)
