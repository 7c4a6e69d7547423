"""What the cache holds that was made from a model, and what each copy's check found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.models.provenance import Made
from llmops_cli.runtime.paths import cache_dir

RECORDS = ("quantized/*/*.json", "quantized/*/*/llmops.json", "dequantized/*.json", "ct2/*.json")


class MadeCopy(msgspec.Struct, frozen=True, kw_only=True):
    """Where it lies, and its check in words."""

    path: str
    check: str


def copies_of(digest: str | None) -> list[MadeCopy]:
    """Of the model with this digest, by path."""
    found = []
    for record, made in _records():
        if digest is None or made.source_digest != digest:
            continue
        path = record.parent if record.name == "llmops.json" else record.with_suffix("")
        check = str(made.check) if made.check else "not compared with the original"
        found.append(MadeCopy(path=str(path), check=check))
    return found


def _records() -> Iterator[tuple[Path, Made]]:
    """Broken ones are passed over: looking changes nothing."""
    for pattern in RECORDS:
        for record in sorted(cache_dir().glob(pattern)):
            try:
                yield record, msgspec.json.decode(record.read_bytes(), type=Made)
            except (OSError, *UNREADABLE):
                continue
