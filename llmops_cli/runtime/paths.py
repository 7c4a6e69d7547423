"""Where the toolkit keeps what it makes: XDG folders, the packaged recipes and the workers."""

from __future__ import annotations

import os
from pathlib import Path

from llmops_cli.core.errors import EnvironmentMissing

PACKAGE = Path(__file__).resolve().parent.parent
WORKERS = PACKAGE / "workers"


def cache_dir() -> Path:
    """Models, converted files and environments that can be made again: $XDG_CACHE_HOME/llmops.

    Raises: EnvironmentMissing for who has no home folder, such as a container's user without HOME.
    """
    folder = _folder("XDG_CACHE_HOME", ".cache")
    if folder is None:
        raise EnvironmentMissing("this user has no home folder", hint="set HOME, or XDG_CACHE_HOME")
    return folder


def config_dir() -> Path:
    """The user's own settings (envs.yaml): $XDG_CONFIG_HOME/llmops.

    Without a home there are none, and this is where no file can be.
    """
    return _folder("XDG_CONFIG_HOME", ".config") or Path(os.devnull) / "llmops"


def _folder(variable: str, name: str) -> Path | None:
    base = os.environ.get(variable)
    if base:
        return Path(base) / "llmops"
    try:
        return Path.home() / name / "llmops"
    except RuntimeError:
        return None


def recipes_dir() -> Path:
    """recipes/ of the checkout, or its copy inside an installed wheel."""
    checkout = PACKAGE.parent / "recipes"
    if checkout.is_dir():
        return checkout
    return PACKAGE / "_recipes"


def at_home(named: str) -> Path:
    """A path as a user writes it: behind `~/` theirs, and `~nobody` a name like any other."""
    return Path(os.path.expanduser(named))  # noqa: PTH111 - pathlib's raises for one


def end_of(named: str) -> str:
    """The name of a model, file or folder as a user writes it: of `.`, that of where it is."""
    path = at_home(named)
    if path.name.strip("."):
        return path.name
    return path.resolve().name or "model"


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; nothing has a name that no system takes."""
    try:
        return path.exists()
    except OSError:
        return False
