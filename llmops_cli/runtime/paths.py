"""Where the toolkit keeps what it makes: XDG folders, the packaged recipes and the workers."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
WORKERS = PACKAGE / "workers"


def cache_dir() -> Path:
    """Models, converted files and environments that can be made again: $XDG_CACHE_HOME/llmops."""
    return _folder("XDG_CACHE_HOME", ".cache")


def config_dir() -> Path:
    """The user's own settings (envs.yaml): $XDG_CONFIG_HOME/llmops."""
    return _folder("XDG_CONFIG_HOME", ".config")


def _folder(variable: str, name: str) -> Path:
    base = os.environ.get(variable)
    if base:
        return Path(base) / "llmops"
    return Path.home() / name / "llmops"


def recipes_dir() -> Path:
    """recipes/ of the checkout, or its copy inside an installed wheel."""
    checkout = PACKAGE.parent / "recipes"
    if checkout.is_dir():
        return checkout
    return PACKAGE / "_recipes"


def at_home(named: str) -> Path:
    """A path as a user writes it: behind `~/` theirs, and `~nobody` a name like any other."""
    return Path(os.path.expanduser(named))  # noqa: PTH111 - pathlib's raises for one


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; nothing has a name that no system takes."""
    try:
        return path.exists()
    except OSError:
        return False
