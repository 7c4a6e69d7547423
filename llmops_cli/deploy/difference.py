"""What another rendering would change, file by file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from llmops_cli.core.errors import UsageError
from llmops_cli.deploy.folder import LIST, LOCK


def differences(old: Path, new: Path) -> Iterator[str]:
    """Lines of a unified diff. Raises: UsageError for what is no folder."""
    for folder in (old, new):
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder", hint="llmops deploy render -o DIR")
    for name in sorted(_files(old) | _files(new)):
        yield from _difference(old / name, new / name)


def _difference(old: Path, new: Path) -> Iterator[str]:
    before = _lines(old)
    after = _lines(new)
    if (before or []) != (after or []):
        yield from difflib.unified_diff(
            before or [],
            after or [],
            fromfile=str(old),
            tofile=str(new),
            lineterm="",
        )
    elif before != after:
        yield f"--- {old}"
        yield f"+++ {new}"


def _files(folder: Path) -> set[str]:
    found = set()
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in {LIST, LOCK}:
            found.add(path.relative_to(folder).as_posix())
    return found


def _lines(path: Path) -> list[str] | None:
    """None: there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
