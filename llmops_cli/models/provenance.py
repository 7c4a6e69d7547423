"""What a kept model was made from and at what cost, and whether it still is what was made."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.models.notices import Notice
from llmops_cli.models.truth import Truth
from llmops_cli.runtime.contents import content_digest, read_state
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.paths import cache_dir


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """`key` is over everything that went in: a model with another key is made again.

    `digest` is over what came out: files that differ from it are not trusted. `check`: whether it
    says what its source says; None where that means nothing, as for an adapter. `left_out`:
    beginnings of names of the source's tensors that are not in it, and how many have each.
    `notices`: where it is not what it was made from, as its program knows.
    """

    key: str
    digest: str
    size_bytes: int
    bits_per_weight: float | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_rss_bytes: int | None = None
    source: str = ""
    source_digest: str = ""
    versions: dict[str, str] = {}
    calibration: dict[str, Any] | None = None  # Any: the program's own figures
    fallback_tensors: int = 0
    check: Truth | None = None
    left_out: dict[str, int] = {}
    notices: list[Notice] = []


M = TypeVar("M", bound=Made)


def record_beside(path: Path) -> Path:
    """Where the provenance of a file, or of a folder that must hold nothing else, lies."""
    return path.with_name(f"{path.name}.json")


def is_ours(record: Path) -> bool:
    """Whether it tells of something made here: anybody may have a NAME.json beside NAME.

    An empty one is ours too, from before a power cut.
    """
    try:
        raw = record.read_bytes()
        if raw:
            msgspec.json.decode(raw, type=Made)
    except (OSError, *UNREADABLE):
        return False
    return True


def require_ours(path: Path, record: Path) -> None:
    """Raises: UsageError for what is there, outside of the cache, and was not made here."""
    in_cache = path.absolute().is_relative_to(cache_dir().absolute())
    if not path.exists() or in_cache or is_ours(record):
        return
    if path.is_dir() and not any(path.iterdir()):
        return
    raise UsageError(
        f"{path} is there, and llmops did not make it", hint="remove it, or choose another -o"
    )


def kept_model(
    path: Path,
    kind: type[M],
    *,
    key: str,
    record: Path,
    progress: Progress,
    leaving: Collection[str] = (),
) -> M | None:
    """The provenance of the model at `path` if it was made from the same and is what was made.

    `leaving`: names in its folder that may change. One whose content is another is told of.
    """
    made = read_state(record, kind, progress=progress)
    if made is None or made.key != key or not path.exists():
        return None
    if content_digest(path, leaving=leaving) != made.digest:
        progress.warn(f"{path} is not what was made: its content has changed; it is made again")
        _forget_key(record)
        return None
    return made


def whole_model(
    path: Path,
    kind: type[M],
    *,
    key: str,
    record: Path,
) -> M | None:
    """As `kept_model`, without a word or a change where it is not.

    So nothing need be locked: a cache that may only be read will do.
    """
    try:
        made = msgspec.json.decode(record.read_bytes(), type=kind)
        is_whole = made.key == key and content_digest(path) == made.digest
    except (OSError, *UNREADABLE):
        return None
    return made if is_whole else None


def _forget_key(record: Path) -> None:
    """So that it is told once, and what is made again is still known as made here."""
    fields = msgspec.json.decode(record.read_bytes())
    fields["key"] = ""
    write_atomic(record, to_json(fields))


def write_provenance(record: Path, made: Made) -> None:
    """Saves it, readable."""
    write_atomic(record, to_json(made))


def note_check(record: Path, truth: Truth) -> None:
    """Adds what a check found to a record that may hold more than `Made`."""
    fields = msgspec.json.decode(record.read_bytes())
    fields["check"] = msgspec.to_builtins(truth)
    write_atomic(record, to_json(fields))
