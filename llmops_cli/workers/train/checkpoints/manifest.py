"""What a checkpoint says of itself: which run, which step, and every file with size and digest."""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from _shared.protocol import JobError, Json

NAME = "manifest.json"
SCHEMA = "llmops.checkpoint/1"
OURS = re.compile(r"llmops\.checkpoint/(\d+)")
BLOCK_BYTES = 1 << 20


class SavedFile(NamedTuple):
    size_bytes: int
    sha256: str


class NotWhole(Exception):
    """Why a checkpoint cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """left_out: steps' rows that rollbacks left out. random: how random numbers are found again.

    recipe and data decide what may go on from here. progress: sums, curves and windows so far.
    validation: the last loss on held-out data, by which the best is kept.
    """

    step: int
    left_out: int
    strategy: str
    world_size: int
    versions: Json
    recipe: Json
    recipe_digest: str
    data: Json
    source: Json
    random: Json
    progress: Json
    validation: float | None
    files: dict[str, SavedFile]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files.values())


def write(folder: Path, manifest: Manifest) -> None:
    """On disk when this returns, under its own digest."""
    body = asdict(manifest)
    content = {"schema": SCHEMA, "digest": digest_json(body), **body}
    path = folder / NAME
    with path.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> Manifest:
    """Raises: NotWhole if it is missing, cut or changed; JobError if a newer version wrote it."""
    try:
        content = json.loads((folder / NAME).read_bytes())
    except FileNotFoundError:
        raise NotWhole(f"{NAME} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise NotWhole(f"{NAME} cannot be read: {error}") from error
    return _manifest_of(content, folder)


def _manifest_of(content: object, folder: Path) -> Manifest:
    if not isinstance(content, dict):
        raise NotWhole(f"{NAME} is not of {SCHEMA}")
    _check_schema(content.pop("schema", None), folder)
    digest = content.pop("digest", None)
    if digest != digest_json(content):
        raise NotWhole(f"{NAME} is not what was written")
    if set(content) != {field.name for field in fields(Manifest)}:
        raise _newer(folder, "with other fields")
    files = {name: SavedFile(*saved) for name, saved in content.pop("files").items()}
    return Manifest(files=files, **content)


def _check_schema(schema: object, folder: Path) -> None:
    """A run that passed a newer one's checkpoint over would begin anew, and clear it away."""
    if schema == SCHEMA:
        return
    if isinstance(schema, str) and OURS.fullmatch(schema):
        raise _newer(folder, schema)
    raise NotWhole(f"{NAME} is not of {SCHEMA}")


def _newer(folder: Path, what: str) -> JobError:
    return JobError(
        "UsageError",
        f"{folder.name} was written by another version of llmops ({what})",
        "go on with that version, take another -o, or begin anew with --resume never",
    )


def check_file(folder: Path, name: str, saved: SavedFile) -> str | None:
    """What is wrong with a file of the manifest, if anything is."""
    path = folder / name
    try:
        size_bytes = path.stat().st_size
        if size_bytes != saved.size_bytes:
            return f"{name} has {size_bytes} bytes of {saved.size_bytes}"
        if digest_file(path) != saved.sha256:
            return f"{name} is not what was written"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"
    return None


def describe_file(path: Path) -> SavedFile:
    return SavedFile(path.stat().st_size, digest_file(path))


def digest_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def digest_json(value: object) -> str:
    """Of the value, not of how it is written."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
