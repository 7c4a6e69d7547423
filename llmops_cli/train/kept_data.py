"""Tokenizers and tokenized data that the cache keeps: what was damaged there is made again.

Other trainings use the same cache at the same time. They add files to an index (the split of
another share) and make one again that lacks something, so each file is judged by itself, and not
while somebody is at work on it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from llmops_cli.core.progress import Progress
from llmops_cli.models.provenance import record_beside
from llmops_cli.runtime.contents import content_digests, read_state
from llmops_cli.runtime.digests import visible_files
from llmops_cli.runtime.files import remove, to_json, write_atomic
from llmops_cli.runtime.paths import cache_dir

TOKENIZERS = "tokenizers"
INDEXES = "indexes"
HALF_MADE = ".tmp"
"""How the name of what somebody makes just now ends."""
OWN_FACTS = "index.json"
"""Tells when the rows of an index were converted; its reader finds by itself what is wrong."""
ADDED = ("checksums.u32", "training-", "validation-")
"""Beginnings of names of what an index has only for a share that is held out."""
READ_BYTES = 1 << 30
"""Of a folder that is larger, sizes and small files are looked at, and not every byte."""
SMALL_BYTES = 1 << 20


class KeptFile(msgspec.Struct, frozen=True, array_like=True):
    """`digest`: empty if it was not read."""

    size_bytes: int
    digest: str


class KeptContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder held when it was made, and what came to it since, by name."""

    files: dict[str, KeptFile] = {}


def forget_damaged(progress: Progress) -> None:
    """Removes, with a word on it, each folder with a file that is no longer what was made."""
    for folder in _folders():
        with _left_alone(folder) as is_free:
            if is_free:
                _forget_if_damaged(folder, progress)
    for name in (TOKENIZERS, INDEXES):
        for record in (cache_dir() / name).glob("*.json"):
            if not record.with_suffix("").exists():
                remove(record)


def _forget_if_damaged(folder: Path, progress: Progress) -> None:
    record = record_beside(folder)
    kept = read_state(record, KeptContent, progress=progress)
    found = _files_in(folder)
    if kept is None or found is None or not _is_damaged(kept.files, found):
        return
    progress.warn(f"{folder} is not what was made: its content has changed; it is made again")
    remove(folder)
    remove(record)


def remember_made(progress: Progress) -> None:
    """Keeps the content of each folder, and of each file in one, that is new."""
    for folder in _folders():
        with _left_alone(folder) as is_free:
            if is_free:
                _remember(folder, progress)


def _remember(folder: Path, progress: Progress) -> None:
    record = record_beside(folder)
    kept = read_state(record, KeptContent, progress=progress) or KeptContent()
    found = _files_in(folder) or {}
    if found.keys() - kept.files.keys():
        write_atomic(record, to_json(KeptContent(files={**found, **kept.files})))


def _folders() -> Iterator[Path]:
    for name in (TOKENIZERS, INDEXES):
        for folder in sorted((cache_dir() / name).glob("[!.]*")):
            if folder.suffix != HALF_MADE and folder.is_dir():
                yield folder


@contextmanager
def _left_alone(folder: Path) -> Iterator[bool]:
    """Whether nobody makes or adds to this index just now, nor can within."""
    try:
        lock = folder.with_name(f"{folder.name}.lock").open("r+b")
    except OSError:  # a tokenizer or tokens, which appear when they are whole
        yield True
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _is_damaged(kept: dict[str, KeptFile], found: dict[str, KeptFile]) -> bool:
    for name, was in kept.items():
        now = found.get(name)
        if now is None:
            if not name.startswith(ADDED):
                return True
            continue
        is_read = was.digest and now.digest
        if was.size_bytes != now.size_bytes or (is_read and was.digest != now.digest):
            return True
    return False


def _files_in(folder: Path) -> dict[str, KeptFile] | None:
    """None if somebody removes the folder meanwhile, or keeps it to themselves."""
    if not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
        return None
    try:
        sizes = {
            file: file.stat().st_size
            for file in visible_files(folder)
            if file.name != OWN_FACTS and file.suffix != HALF_MADE
        }
        is_small = sum(sizes.values()) <= READ_BYTES
        read = [file for file, size_bytes in sizes.items() if is_small or size_bytes <= SMALL_BYTES]
        digests = content_digests(folder, read)
    except FileNotFoundError:
        return None
    found = {}
    for file, size_bytes in sizes.items():
        name = file.relative_to(folder).as_posix()
        found[name] = KeptFile(size_bytes, digests.get(name, ""))
    return found
