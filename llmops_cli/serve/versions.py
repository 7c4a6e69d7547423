"""Which version of its file a gateway serves: one for all its workers, the last that was good."""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.prompt_file.prompt import Prompt

_HEAD = struct.Struct("<dQ")
"""When somebody wanted the file to be read, and the size of what follows."""
_WISH = struct.Struct("<d")
CONTENT_LOCK = 0
READER_LOCK = 1
"""Bytes of the file that are locked: while it is read or written, and while one of all reads the
configuration's file."""


class FileStamp(NamedTuple):
    """Another one: the file was written, or replaced."""

    changed_ns: int = 0
    inode: int = 0


def stamp_of(path: Path) -> FileStamp:
    with suppress(OSError):
        found = path.stat()
        return FileStamp(found.st_mtime_ns, found.st_ino)
    return FileStamp()


class ConfigVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, and what is known of the file since.

    `policy`: the guard's as JSON, as it was read with it, and so `prompts`. `read_at`: seconds
    since 1970, by which versions are told apart. `seen`: the file as it was last looked at, at
    `looked_at` of the machine's monotonic clock; `ok`: whether it could be used.
    """

    config: GatewayConfig
    policy: str | None = None
    prompts: list[Prompt] = []
    read_at: float
    seen: FileStamp = FileStamp()
    looked_at: float
    ok: bool = True


def _nameless() -> IO[bytes]:
    """In memory where the system has such files: values of variables stand in it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("llmops"), "w+b")
    return tempfile.TemporaryFile(prefix="llmops-")


class ConfigVersions:
    """A file without a name, which workers inherit: it ends with the last of them."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._raw = b""
        self._version: ConfigVersion | None = None
        self._file: IO[bytes] | None = None

    @classmethod
    def beginning(
        cls,
        config: GatewayConfig,
        *,
        policy: str | None,
        prompts: list[Prompt],
        seen: FileStamp,
    ) -> ConfigVersions:
        """With the version of the start."""
        file = _nameless()
        found = cls(file.fileno())
        found._file = file
        first = ConfigVersion(
            config=config,
            policy=policy,
            prompts=prompts,
            read_at=time.time(),
            seen=seen,
            looked_at=time.monotonic(),
        )
        found.write(first)
        return found

    def current(self) -> ConfigVersion:
        with self._locked(CONTENT_LOCK):
            _, size = self._head()
            raw = os.pread(self.descriptor, size, _HEAD.size)
        if self._version is None or raw != self._raw:
            self._version = msgspec.json.decode(raw, type=ConfigVersion)
            self._raw = raw
        return self._version

    def write(self, version: ConfigVersion) -> None:
        raw = msgspec.json.encode(version)
        with self._locked(CONTENT_LOCK):
            wanted_at, _ = self._head()
            os.pwrite(self.descriptor, _HEAD.pack(wanted_at, len(raw)) + raw, 0)

    def want(self) -> None:
        """The file is to be read, whether it has changed or not.

        Nothing in a process that has inherited this: whoever began it was asked, too.
        """
        if self._file is not None:
            os.pwrite(self.descriptor, _WISH.pack(time.monotonic()), 0)

    def wanted_at(self) -> float:
        return self._head()[0]

    def _head(self) -> tuple[float, int]:
        raw = os.pread(self.descriptor, _HEAD.size, 0)
        return _HEAD.unpack(raw) if raw else (0.0, 0)

    @contextmanager
    def reading(self) -> Iterator[bool]:
        """Whether it is this process that reads the file now; another one does otherwise.

        The system ends the lock of a process that is killed.
        """
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, READER_LOCK)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, READER_LOCK)

    @contextmanager
    def _locked(self, byte: int) -> Iterator[None]:
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX, 1, byte)
        try:
            yield
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, byte)
