"""Digests of files, folders and plain values, as `sha256:<hex>`."""

from __future__ import annotations

import hashlib
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
    for child in sorted(path.rglob("*")):
        is_hidden = child.name.startswith(".")
        if child.is_file() and not is_hidden:
            name = child.relative_to(path).as_posix()
            line = f"{name}\0{digest_file(child)}\n"
            whole.update(line.encode())
    return f"sha256:{whole.hexdigest()}"


def digest_value(value: object) -> str:
    """sha256 of the canonical JSON of a recipe or any plain value."""
    text = msgspec.json.encode(value, order="deterministic")
    whole = hashlib.sha256(text)
    return f"sha256:{whole.hexdigest()}"


def digest_number(value: object) -> int:
    """The same as a number of 52 bits, which JSON keeps exactly."""
    digest = digest_value(value).removeprefix("sha256:")
    return int(digest[:NUMBER_DIGITS], 16)
