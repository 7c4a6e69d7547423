"""Who builds an image: buildah, podman or docker, whichever is here first."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing
from llmops_cli.runtime.files import cannot_write

BUILDERS = ("buildah", "podman", "docker")
LAST_LINES = 12
GRACE_S = 10.0
"""For a builder that is told to end."""
UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
INDEX = "PIP_INDEX_URL"
"""An index of packages of the user's own, which pip has from the same variable."""


class Built(msgspec.Struct, frozen=True, kw_only=True):
    tag: str
    builder: str
    seconds: float
    size_bytes: int | None


def find_builder() -> str:
    """Raises: EnvironmentMissing where there is none."""
    for name in BUILDERS:
        if shutil.which(name) is not None:
            return name
    raise EnvironmentMissing(
        f"nobody here builds images: {', '.join(BUILDERS)} are missing",
        hint="apt-get install buildah, or --emit to write the Containerfile only",
    )


def build(context: Path, *, tag: str, builder: str, log: Path) -> Built:
    """Raises: EngineFailed with the last lines of the builder's log; EnvironmentMissing."""
    started_s = time.monotonic()
    argv = [builder, "build", "-t", tag, "-f", "Containerfile", "."]
    if builder == "buildah":
        argv[2:2] = ["--isolation", "chroot"]
    if builder == "podman":
        argv[2:2] = ["--network", "host"]
    if os.environ.get(INDEX):
        argv[2:2] = ["--build-arg", INDEX]  # its value, which may hold a password, from there
    if _code_of(argv, context, log):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        last = " | ".join(lines[-LAST_LINES:])
        raise EngineFailed(f"{builder} did not build {tag}: {last}", hint=f"see {log}")
    return Built(
        tag=tag,
        builder=builder,
        seconds=round(time.monotonic() - started_s, 1),
        size_bytes=_size_of(tag, builder),
    )


def _code_of(argv: list[str], context: Path, log: Path) -> int:
    """How it ended. What interrupts us ends all that it has started, too."""
    try:
        file = log.open("wb")
    except OSError as error:
        raise cannot_write(log, error) from error
    with file:
        process = subprocess.Popen(
            argv,
            cwd=context,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            return process.wait()
        except BaseException:
            _end(process)
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """A builder that is asked unmounts what it has mounted."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _size_of(tag: str, builder: str) -> int | None:
    if builder == "buildah":
        return _size_by_buildah(tag)
    argv = [builder, "image", "inspect", "--format", "{{.Size}}", tag]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    text = run.stdout.strip()
    return int(text) if run.returncode == 0 and text.isdecimal() else None


def _size_by_buildah(tag: str) -> int | None:
    """It says no more than three digits and a unit: `"size": "225 MB"`."""
    argv = ["buildah", "images", "--json", tag]
    run = subprocess.run(argv, capture_output=True, check=False)
    if run.returncode:
        return None
    number, _, unit = msgspec.json.decode(run.stdout)[0]["size"].partition(" ")
    return round(float(number) * UNITS[unit])
