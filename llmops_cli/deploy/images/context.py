"""The folder that an image is built from: this very code, and the versions that it runs with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.deploy.cluster_names import require_image
from llmops_cli.deploy.images.containerfile import IMAGES, SBOM_LABEL, containerfile
from llmops_cli.runtime.digests import digest_path
from llmops_cli.runtime.files import cannot_write, claimed, copy_folder, make_folder, write_atomic
from llmops_cli.runtime.paths import PACKAGE, WORKERS, recipes_dir

EXTRAS = ("redis", "prices")
"""Of the gateway: what a cluster's has beside the least."""
MARK = ".llmops-image"
"""Of a folder that we have made: what is in it may be written anew."""
WHEELS_README = b"Wheels that pip takes before an index.\n"
SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".mypy_cache")
ENVIRONMENTS = {
    "llamacpp": "llamacpp.txt",
    "vllm": "vllm-cuda.txt",
    "transformers": "transformers.txt",
}
PACKAGES = {"llamacpp": ("msgspec", "prometheus-client", "uvicorn", "uvloop", "httptools")}
"""What a worker imports beside its engine."""


@contextmanager
def claimed_context(folder: Path) -> Iterator[None]:
    """Nobody else makes an image in this folder meanwhile.

    Raises: UsageError, also for a folder that others have filled; EnvironmentMissing.
    """
    _require_ours(folder)
    with claimed(folder / MARK):
        yield


def require_image_name(name: str) -> None:
    """Raises: UsageError."""
    if name not in IMAGES:
        raise unknown_name("image", name, IMAGES)


def write_context(
    folder: Path,
    name: str,
    *,
    base: str,
    wheels: Path | None,
) -> Path:
    """The Containerfile in it.

    Raises: UsageError, also for a folder that others have filled; EnvironmentMissing.
    """
    require_image_name(name)
    require_image(base, what="--base")
    if wheels is not None and not wheels.is_dir():
        raise UsageError(f"no folder of wheels at {wheels}")
    _require_ours(folder)
    write_atomic(folder / "requirements.txt", requirements(name).encode())
    _copy(WORKERS, folder / "workers")
    if name == "gateway":
        _copy(PACKAGE, folder / "llmops_cli")
        _copy(recipes_dir(), folder / "recipes")
    make_folder(folder / "wheels")
    write_atomic(folder / "wheels" / "README", WHEELS_README)
    for wheel in sorted(wheels.glob("*.whl")) if wheels is not None else []:
        _copy_wheel(wheel, folder / "wheels" / wheel.name)
    path = folder / "Containerfile"
    path.unlink(missing_ok=True)  # the one before is no part of what is built
    digest = digest_path(folder)
    text = containerfile(name, base=base, digest=digest, has_wheels=wheels is not None)
    write_atomic(path, text.encode())
    return path


def _require_ours(folder: Path) -> None:
    """Raises: UsageError for one that others have filled."""
    make_folder(folder)
    mark = folder / MARK
    if any(folder.iterdir()) and not mark.is_file() and not _is_of_before(folder):
        raise UsageError(
            f"{folder} has files of others, and an image's folder is written anew",
            hint="choose an empty folder with -o",
        )
    write_atomic(mark, b"")


def _is_of_before(folder: Path) -> bool:
    """Whether we made it when there were no marks."""
    texts = {
        "Containerfile": SBOM_LABEL.encode(),
        "requirements.txt": b"",
        "wheels/README": WHEELS_README,
    }
    return all(_has_text(folder / name, text) for name, text in texts.items())


def _has_text(path: Path, text: bytes) -> bool:
    return path.is_file() and text in path.read_bytes()


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    copy_folder(source, target, leaving=SKIPPED)


def _copy_wheel(wheel: Path, target: Path) -> None:
    try:
        shutil.copy2(wheel, target)
    except OSError as error:
        raise cannot_write(target, error) from error


def requirements(name: str) -> str:
    """Each with a version: of the gateway those that run here, of engines the tried ones."""
    if name == "gateway":
        return _lines(_closure(["llmops-cli"], EXTRAS))
    listed = (recipes_dir() / "envs" / ENVIRONMENTS[name]).read_text(encoding="utf-8")
    more = [each for each in PACKAGES.get(name, ()) if each not in listed]
    return listed.rstrip() + "\n" + _lines(_closure(more, ()))


def _lines(pins: dict[str, str]) -> str:
    lines = [f"{name}=={pin}" if pin else name for name, pin in sorted(pins.items())]
    return "\n".join(lines) + "\n"


def _is_for_another_micro(need: Requirement) -> bool:
    """Of Python's own version: an image's may be older than this one, and then wants it."""
    if need.marker is None or "python_full_version" not in str(need.marker):
        return False
    return "extra" not in str(need.marker) and not need.marker.evaluate()


def _closure(wanted: list[str], extras: tuple[str, ...]) -> dict[str, str]:
    """Installed packages that the wanted ones need, with their versions."""
    found: dict[str, str] = {}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting = [(name, extras) for name in wanted]
    while waiting:
        name, asked = waiting.pop()
        if (name, asked) in seen:
            continue
        seen.add((name, asked))
        try:
            found[name] = version(name)
            needs = requires(name) or []
        except PackageNotFoundError:
            continue
        for line in needs:
            need = Requirement(line)
            marks = [{"extra": extra} for extra in asked] or [{"extra": ""}]
            if _is_for_another_micro(need):
                found[f"{need}"] = ""
            elif need.marker is None or any(need.marker.evaluate(mark) for mark in marks):
                waiting.append((canonicalize_name(need.name), tuple(sorted(need.extras))))
    found.pop("llmops-cli", None)
    return found
