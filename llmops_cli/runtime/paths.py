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
