"""Whether files have changed since they were last looked at."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FileStamp = tuple[int, int, int]
NONE: FileStamp = (0, 0, 0)


class FileStamps:
    """A link that points elsewhere now counts too, as secrets of Kubernetes do."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._seen = self._stamps()

    def have_changed(self) -> bool:
        if not self._paths:
            return False
        now = self._stamps()
        if now == self._seen:
            return False
        self._seen = now
        return True

    def _stamps(self) -> list[FileStamp]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> FileStamp:
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size
    return NONE
