"""Where a pod finds its model: on a volume, or downloaded and checked before the engine starts."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.urls import shown_url
from llmops_cli.deploy.cluster_names import require_object_name
from llmops_cli.gateway_file.url import bad_url
from llmops_cli.runtime.digests import digest_file, visible_files
from llmops_cli.runtime.paths import at_home

FOLDER = "/models"
CLAIM = "claim:"
HOST = "host:"


class ModelVolume(msgspec.Struct, frozen=True, kw_only=True):
    """One of: a claim of the cluster, a folder of the host, an address to download from."""

    claim: str | None = None
    host: str | None = None
    url: str | None = None


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """`name`: below the model's folder."""

    name: str
    size_bytes: int
    sha256: str


def read_volume(text: str) -> ModelVolume:
    """Raises: UsageError."""
    if text.startswith(CLAIM):
        name = text.removeprefix(CLAIM)
        return ModelVolume(claim=require_object_name(name, what="the claim"))
    if text.startswith(HOST):
        folder = text.removeprefix(HOST)
        if not folder.startswith("/"):
            raise UsageError(f"--models {text}: a folder of the host begins with /")
        return ModelVolume(host=folder)
    if bad_url(text) is None:
        return ModelVolume(url=text.rstrip("/"))
    raise UsageError(
        f"--models {shown_url(text)} says no place",
        hint="claim:NAME, https://HOST/FOLDER or host:/FOLDER",
    )


def place_of(reference: str, *, wants_gguf: bool) -> str:
    """The path in a pod of a model by the name that the file has for it."""
    path = PurePosixPath(reference)
    is_path = reference.startswith(("/", ".", "~")) or path.suffix == ".gguf"
    name = path.name if is_path else str(path)
    if wants_gguf and not name.endswith(".gguf"):
        name = f"{name}.gguf"
    return f"{FOLDER}/{re.sub(r'[^A-Za-z0-9._/-]', '-', name)}"


def files_of(reference: str, *, upstream: str) -> tuple[ModelFile, ...]:
    """What is to be downloaded, by the copy that is here. Raises: UsageError without one."""
    path = at_home(reference)
    if path.is_file():
        return (_file(path, path.name),)
    if not path.is_dir():
        raise UsageError(
            f"upstream {upstream}: a download is checked against the model here, and {reference} "
            "is no file or folder",
            hint="name its folder, or --models claim:NAME",
        )
    files = visible_files(path)
    return tuple(_file(each, each.relative_to(path).as_posix()) for each in files)


def digest_of_files(files: tuple[ModelFile, ...]) -> str:
    """As `digest_path` has it of the same files."""
    if len(files) == 1 and files[0].name.endswith(".gguf"):
        return f"sha256:{files[0].sha256}"
    lines = [f"{each.name}\0sha256:{each.sha256}\n" for each in files]
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def _file(path: Path, name: str) -> ModelFile:
    return ModelFile(
        name=name,
        size_bytes=path.stat().st_size,
        sha256=digest_file(path).removeprefix("sha256:"),
    )
