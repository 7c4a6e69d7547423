"""Files of the Python package index, by the tool that there is. Nothing of a wheel is run.

For a source archive pip asks the package's own code for its dependencies, so its digest is held
against what pip has fetched before that.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.progress import Progress
from llmops_cli.runtime.files import size_of
from llmops_cli.runtime.process import Supervised

LOOK_EVERY_S = 0.2
LAST_LINES = 6
"""Of pip's own words: an error, the file that it is about, and two digests."""
QUIET = ("--disable-pip-version-check", "--no-input", "--progress-bar=off")


class IndexFile(msgspec.Struct, frozen=True, kw_only=True):
    """What is fetched: its name for people, its requirement, and how many bytes are to come."""

    name: str
    requirement: str
    size_bytes: int


def unpack_wheel(
    wanted: IndexFile,
    folder: Path,
    *,
    progress: Progress,
) -> None:
    """The wheel's files in `folder`, without what it depends on.

    Raises: EnvironmentMissing if the index, the network or the tool fails.
    """
    argv = [*_installer(), "--target", str(folder), wanted.requirement]
    _run(argv, wanted, folder, progress=progress)


def download_source(
    wanted: IndexFile,
    folder: Path,
    *,
    package: str,
    digest: str,
    progress: Progress,
) -> None:
    """The package's source archive in `folder`, as it is.

    Raises: EnvironmentMissing if the index, the network or the tool fails, or the archive has
    another digest: pip tells that before it runs anything of it.
    """
    if find_spec("pip") is None:
        raise EnvironmentMissing(
            f"fetching {wanted.name} needs pip, and it is not here",
            hint="python -m ensurepip, or: uv pip install pip",
        )
    folder.mkdir(parents=True, exist_ok=True)
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{wanted.requirement} --hash={digest}\n", encoding="utf-8")
    only = ["--no-deps", "--no-binary", package]
    pip = [sys.executable, "-m", "pip", "download", *QUIET, *only]
    argv = [*pip, "--dest", str(folder), "--requirement", str(pinned)]
    _run(argv, wanted, folder, progress=progress)


def _installer() -> Sequence[str]:
    """The tool there is, with what makes it unpack one wheel and nothing else.

    Raises: EnvironmentMissing if there is neither pip nor uv.
    """
    options = ["--no-deps", "--only-binary", ":all:"]
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", *QUIET, "--no-compile", *options]
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--python", sys.executable, *options]
    raise EnvironmentMissing(
        "fetching a model needs pip or uv, and neither is here",
        hint="python -m ensurepip, or install uv",
    )


def _run(
    argv: Sequence[str],
    wanted: IndexFile,
    folder: Path,
    *,
    progress: Progress,
) -> None:
    log_path = folder.with_name(f"{folder.name}.log")
    log_path.parent.mkdir(parents=True, exist_ok=True)
    process = Supervised(argv, env={}, log_path=log_path)
    stage = f"fetching {wanted.name}"
    try:
        code = None
        while code is None:
            code = process.wait(LOOK_EVERY_S)
            seen_bytes = size_of(folder) if folder.exists() else 0
            progress.update(stage, min(seen_bytes, wanted.size_bytes), wanted.size_bytes)
    finally:
        process.stop()
    if code:
        said = process.log_tail(LAST_LINES)
        raise EnvironmentMissing(
            f"could not fetch {wanted.name} ({wanted.requirement}): {_last_error(said)}",
            hint="check the network and pip's index; once fetched, it works without",
        )
    log_path.unlink(missing_ok=True)


def _last_error(log: str) -> str:
    """The tool's own reason, in a line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    reasons = [line for line in lines if line.lower().startswith("error")]
    chosen = reasons or lines or ["no word of why"]
    return chosen[0][:160]
