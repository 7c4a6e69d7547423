"""Found is not importable: what a Python lacks, and what is broken in it."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

import pytest

from llmops_cli.runtime.env import list_envs
from llmops_cli.runtime.imports import imported_together, missing_modules
from llmops_cli.runtime.requirements import known_environments


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """A package on the path of every Python that is started here."""
    folder = tmp_path / "lib"
    (folder / "fragile").mkdir(parents=True)
    (folder / "fragile" / "__init__.py").write_text("from fragile import part\n")
    (folder / "fragile" / "part.py").write_text("VALUE = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder / "fragile"


def test_what_is_there_is_fine(library: Path) -> None:
    assert missing_modules(sys.executable, ("json", "fragile")) == ""


def test_what_is_absent_is_named(library: Path) -> None:
    assert missing_modules(sys.executable, ("fragile", "no_such_thing")) == "has no no_such_thing"


def test_what_is_there_and_cannot_be_imported_is_no_less_missing(library: Path) -> None:
    assert missing_modules(sys.executable, ("fragile",)) == ""
    (library / "part.py").write_text("raise OSError('libcuda.so: no such file')\n")
    said = missing_modules(sys.executable, ("fragile",))
    assert "cannot import fragile" in said
    assert "libcuda.so" in said


def test_a_finding_is_kept_until_a_file_changes_or_it_is_asked_anew(
    library: Path, tmp_path: Path
) -> None:
    imported = tmp_path / "imported"
    code = f"open({str(imported)!r}, 'a').write('x')\n"
    (library / "part.py").write_text(code)
    for _ in range(3):
        missing_modules(sys.executable, ("fragile",))
    assert imported.read_text() == "x"
    missing_modules(sys.executable, ("fragile",), anew=True)
    assert imported.read_text() == "xx"
    (library / "part.py").write_text(code + "# mended\n")
    missing_modules(sys.executable, ("fragile",))
    assert imported.read_text() == "xxx"


@pytest.mark.parametrize("damage", ["", "{", "[1, 2]", '{"fragile": 3}', "null", "\x00"])
def test_a_finding_that_is_damaged_is_found_again(damage: str, library: Path, cache: Path) -> None:
    missing_modules(sys.executable, ("fragile",))
    (finding,) = (cache / "llmops" / "imports").glob("*.json")
    finding.write_text(damage)
    assert missing_modules(sys.executable, ("fragile",)) == ""
    assert finding.read_text() == "{}"


def test_a_file_of_the_users_folder_is_no_library(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert missing_modules(sys.executable, ("only_here",)) == "has no only_here"


def test_a_python_that_does_not_start(tmp_path: Path, cache: Path) -> None:
    venv.create(tmp_path / "broken", symlinks=True)
    python = tmp_path / "broken" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    os.chmod(python, 0o755)
    assert missing_modules(str(python), ("json",)) == "cannot be started"


def test_a_cache_that_cannot_be_written_costs_no_answer(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert missing_modules(sys.executable, ("fragile",)) == ""


def test_a_look_at_all_environments_imports_once_what_they_share(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    own = tmp_path / "config" / "llmops" / "envs"
    own.mkdir(parents=True)
    names = list(known_environments())
    for name in names:
        (own / f"{name}.txt").write_text("#: modules json fragile\n")
    (own / "worse.txt").write_text("#: modules fragile no_such_thing\n")
    imported = tmp_path / "imported"
    (library / "part.py").write_text(f"open({str(imported)!r}, 'a').write('x')\n")
    problems = {env.name: env.problem for env in list_envs(anew=True)}
    assert imported.read_text() == "x"
    assert [problems[name] for name in names] == [None] * len(names)
    assert "has no no_such_thing" in (problems["worse"] or "")


def test_of_a_process_that_ends_while_it_imports_nothing_is_believed(library: Path) -> None:
    (library / "part.py").write_text("import os\nos._exit(3)\n")
    assert imported_together(sys.executable, ("json", "fragile")) == set()
    assert missing_modules(sys.executable, ("json",), anew=True) == ""
