"""Digests of files, folders and plain values, as `sha256:<hex>`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

NUMBER_DIGITS = 13


def digest_file(path: Path) -> str:
    """sha256 of the content, as `sha256:<hex>`."""
    with path.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256")
    return f"sha256:{whole.hexdigest()}"


def digest_path(path: Path) -> str:
    """A file's digest, or one over the names and digests of a folder's visible files."""
    if path.is_file():
        return digest_file(path)
    whole = hashlib.sha256()
    for child in visible_files(path):
        name = child.relative_to(path).as_posix()
        line = f"{name}\0{digest_file(child)}\n"
        whole.update(line.encode())
    return f"sha256:{whole.hexdigest()}"


def visible_files(folder: Path) -> Iterator[Path]:
    """All files below it, in order, but those that are hidden or lie in a hidden folder.

    What git and downloaders keep there (.git, .cache) changes while the rest stays as it is.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = filter(_is_visible, folders)
        found += [Path(place, name) for name in filter(_is_visible, names)]
    return filter(Path.is_file, sorted(found))


def _is_visible(name: str) -> bool:
    return not name.startswith(".")


def digest_value(value: object) -> str:
    """sha256 of the canonical JSON of a recipe or any plain value."""
    text = msgspec.json.encode(value, order="deterministic")
    whole = hashlib.sha256(text)
    return f"sha256:{whole.hexdigest()}"


def digest_number(value: object) -> int:
    """The same as a number of 52 bits, which JSON keeps exactly."""
    digest = digest_value(value).removeprefix("sha256:")
    return int(digest[:NUMBER_DIGITS], 16)
