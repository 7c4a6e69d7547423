"""Tokenizers and tokenized data that the cache keeps: what was damaged there is made again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.progress import Progress
from llmops_cli.models.provenance import record_beside
from llmops_cli.runtime.contents import content_digest, read_state
from llmops_cli.runtime.digests import digest_value, visible_files
from llmops_cli.runtime.files import remove, to_json, write_atomic
from llmops_cli.runtime.paths import cache_dir

TOKENIZERS = "tokenizers"
INDEXES = "indexes"
READ_BYTES = 1 << 30
"""Of a folder that is larger, sizes and small files are looked at, and not every byte."""
SMALL_BYTES = 1 << 20


class KeptContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder held when it was made."""

    digest: str


def forget_damaged(progress: Progress) -> None:
    """Removes, with a word on it, each folder that is no longer what was made."""
    for folder in _folders():
        record = record_beside(folder)
        kept = read_state(record, KeptContent, progress=progress)
        if kept is None or kept.digest == _digest_of(folder):
            continue
        progress.warn(f"{folder} is not what was made: its content has changed; it is made again")
        remove(folder)
        remove(record)
    for name in (TOKENIZERS, INDEXES):
        for record in (cache_dir() / name).glob("*.json"):
            if not record.with_suffix("").exists():
                remove(record)


def remember_made() -> None:
    """Keeps the content of each folder that is new."""
    for folder in _folders():
        record = record_beside(folder)
        if not record.exists():
            kept = KeptContent(digest=_digest_of(folder))
            write_atomic(record, to_json(kept))


def _folders() -> Iterator[Path]:
    for name in (TOKENIZERS, INDEXES):
        for folder in sorted((cache_dir() / name).glob("[!.]*")):
            if folder.is_dir():
                yield folder


def _digest_of(folder: Path) -> str:
    sizes = {file: file.stat().st_size for file in visible_files(folder)}
    if sum(sizes.values()) <= READ_BYTES:
        return content_digest(folder)
    told = []
    for file, size_bytes in sizes.items():
        digest = content_digest(file) if size_bytes <= SMALL_BYTES else ""
        told.append((file.name, size_bytes, digest))
    return digest_value(told)
