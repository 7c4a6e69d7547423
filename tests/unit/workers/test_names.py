"""Workers' folders are top-level names in other environments: they must shadow nothing there."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

from llmops_cli.runtime.paths import WORKERS

FOLDERS = sorted(path.name for path in WORKERS.iterdir() if (path / "__init__.py").exists())


def test_no_folder_has_the_name_of_an_installed_package_or_of_the_standard_library() -> None:
    assert FOLDERS
    taken = set(metadata.packages_distributions()) | sys.stdlib_module_names
    assert not taken.intersection(FOLDERS)


def test_every_folder_is_a_package() -> None:
    """One without __init__.py would lose against any installed package of its name."""
    with_modules = {path.parent for path in WORKERS.rglob("*.py")}
    assert all((folder / "__init__.py").exists() for folder in with_modules)


def test_the_guard_runs_beside_its_neighbours_without_taking_them_for_the_library() -> None:
    """`python -S -E guard.py` puts _shared first on the path."""
    beside = {path.stem for path in (WORKERS / "_shared").glob("*.py")}
    assert not beside & sys.stdlib_module_names


def test_a_program_is_run_by_its_dotted_name() -> None:
    argv = [sys.executable, str(WORKERS), "sim.server", "--help"]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "usage: sim.server" in run.stdout
    alone = subprocess.run(argv[:2], capture_output=True, text=True, check=False)
    assert alone.returncode != 0
    assert "usage:" in alone.stderr
