"""What lies on disk by its content: digests that are remembered, state that is checked when read.

A remembered digest counts while the file system tells the same device, inode, size, modification
time and change time. The kernel sets the change time at every write and nobody can set it back, so
a file whose content changed is found also where its modification time was restored. Damage below
the file system (a failing disk) is found when the memory of digests is gone, not before.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from llmops_cli.core.errors import LlmopsError
from llmops_cli.core.progress import Progress
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.runtime.digests import digest_file, digest_value, visible_files
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.paths import cache_dir

T = TypeVar("T")

SETTLED_NS = 2_000_000_000
"""A file changed less than this ago may change again within one tick of the file system's clock."""

Stamp = tuple[int, int, int, int, int]


class RememberedDigest(msgspec.Struct, frozen=True, array_like=True):
    """A file's digest, and what the file system said of the file when it was read."""

    stamp: Stamp
    digest: str


def content_digest(path: Path, *, leaving: Collection[str] = ()) -> str:
    """The digest that `digest_path` gives, read again only where the file system tells of a change.

    `leaving`: names directly in the folder that do not count, with all that is below them.
    """
    memory = _DigestMemory(path.resolve())
    found = memory.digest(path) if path.is_file() else memory.digest_of_folder(path, leaving)
    memory.save()
    return found


def content_digests(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """Of some files below a folder, by their names in it, remembered as `content_digest` does."""
    memory = _DigestMemory(folder.resolve())
    found = {}
    for file in files:
        name = file.relative_to(folder).as_posix()
        found[name] = memory.digest(file, name)
    memory.save()
    return found


def read_state(
    path: Path,
    kind: type[T],
    *,
    progress: Progress,
) -> T | None:
    """What is kept at `path`; None if nothing is.

    A file that is empty, cut or of another shape is removed, with a word on it, so that what it
    told is found or made again.
    """
    try:
        raw = path.read_bytes()
        return msgspec.json.decode(raw, type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = os.strerror(error.errno or 0)
    except UNREADABLE:
        reason = wrong_in(raw, kind)
    progress.warn(f"{path} cannot be read ({reason}); what it told is made again")
    with suppress(OSError):
        path.unlink()
    return None


class _DigestMemory:
    """Digests of one file, or of the files below one folder, between runs."""

    def __init__(self, root: Path) -> None:
        digest = digest_value(str(root))
        name = digest.removeprefix("sha256:")[:24]
        self._path = cache_dir() / "digests" / f"{name}.json"
        self._known = self._load()
        self._current: dict[str, RememberedDigest] = {}

    def _load(self) -> dict[str, RememberedDigest]:
        try:
            kept = self._path.read_bytes()
            return msgspec.json.decode(kept, type=dict[str, RememberedDigest])
        except (OSError, *UNREADABLE):
            return {}

    def digest(self, path: Path, name: str = "") -> str:
        stamp = _stamp(path)
        known = self._known.get(name)
        if known is None or known.stamp != stamp:
            known = RememberedDigest(stamp, digest_file(path))
        age_ns = time.time_ns() - stamp[-1]
        if age_ns > SETTLED_NS:
            self._current[name] = known
        return known.digest

    def digest_of_folder(self, folder: Path, leaving: Collection[str]) -> str:
        whole = hashlib.sha256()
        for path in visible_files(folder):
            name = path.relative_to(folder).as_posix()
            top, _, _ = name.partition("/")
            if top in leaving:
                continue
            digest = self.digest(path, name)
            line = f"{name}\0{digest}\n"
            whole.update(line.encode())
        return f"sha256:{whole.hexdigest()}"

    def save(self) -> None:
        """A cache that cannot be written costs time and nothing else."""
        if self._current == self._known:
            return
        with suppress(LlmopsError):
            content = msgspec.json.encode(self._current)
            write_atomic(self._path, content)


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
