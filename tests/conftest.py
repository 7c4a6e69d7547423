"""Shared fixtures. Slow tests use one cached demo model; nothing writes outside temporary folders."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs `llmops` in an empty folder with an empty cache, as a user would."""

    def run(*args: str, env: dict[str, str] | None = None, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "llmops_cli", *args],
            cwd=tmp_path,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_CONFIG_HOME": str(tmp_path / "config"),
                 "COLUMNS": "100", **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def shared_cache() -> Path:
    """A cache that survives between test runs, so the demo model is trained once per checkout and machine."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base)


@pytest.fixture
def demo_cli(tmp_path: Path, shared_cache: Path) -> Cli:
    """Runs `llmops` in an empty folder with the shared cache, where the demo model lives."""

    def run(*args: str, env: dict[str, str] | None = None, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "llmops_cli", *args],
            cwd=tmp_path,
            env={**os.environ, "XDG_CACHE_HOME": str(shared_cache), "COLUMNS": "100", **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run
