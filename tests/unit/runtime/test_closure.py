"""A key changes with every module that the program reaches, and with no other."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from llmops_cli.core.spec import Env
from llmops_cli.runtime.closure import cache_key, code_digest, import_closure, library_versions
from llmops_cli.runtime.paths import WORKERS

PROGRAMS = ("hf.imatrix", "llamacpp.convert", "llamacpp.server", "quantize.autoawq", "train.main")
HERE = Env(name="here", python=sys.executable, origin="current")


@pytest.fixture
def workers(tmp_path: Path) -> Path:
    copy = tmp_path / "workers"
    shutil.copytree(WORKERS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_exactly_the_modules_of_the_closure_change_the_digest(workers: Path) -> None:
    program = "hf.imatrix"
    closure = import_closure(program, workers=workers)
    before = code_digest(program, workers=workers)
    for module in workers.rglob("*.py"):
        text = module.read_text()
        module.write_text(f"{text}\nEDITED = True\n")
        changed = code_digest(program, workers=workers) != before
        module.write_text(text)
        assert changed == (module in closure), module


def test_the_closure_follows_imports_of_imports_and_those_inside_functions(tmp_path: Path) -> None:
    sources = {
        "hf/__init__.py": "",
        "hf/server.py": "import json\nfrom _shared import batches\n",
        "hf/text.py": "",
        "_shared/batches.py": "def late():\n    import _shared.clock\n",
        "_shared/clock.py": "",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    found = import_closure("hf.server", workers=tmp_path)
    assert {str(file.relative_to(tmp_path)) for file in found} == set(sources) - {"hf/text.py"}


def test_a_program_that_is_a_package_is_followed_from_its_main() -> None:
    names = {file.name for file in import_closure("llamacpp.server")}
    assert "__main__.py" in names
    assert "scheduler.py" in names


def test_data_beside_a_module_counts(workers: Path) -> None:
    before = code_digest("train.main", workers=workers)
    (workers / "train" / "template.json").write_text("{}")
    assert code_digest("train.main", workers=workers) != before


def test_every_program_that_a_spec_names_has_a_closure() -> None:
    for program in PROGRAMS:
        assert import_closure(program), program


def test_libraries_are_those_that_the_program_imports() -> None:
    if find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed")
    convert = library_versions("llamacpp.convert", HERE)
    server = library_versions("llamacpp.server", HERE)
    assert {"python", "numpy", "gguf"} <= convert.keys()
    assert "uvicorn" not in convert
    assert {"llama-cpp-python", "uvicorn"} <= server.keys()
    assert "llmops-cli" not in library_versions(None, HERE)


def test_the_key_holds_parts_program_and_environment() -> None:
    keys = {
        cache_key("a", program="train.main", env=HERE),
        cache_key("b", program="train.main", env=HERE),
        cache_key("a", program="llamacpp.convert", env=HERE),
        cache_key("a", program="train.main", env=None),
        cache_key("a", program=None, env=HERE),
    }
    assert len(keys) == 5


def test_a_path_counts_by_its_content(tmp_path: Path) -> None:
    def key(*names: str) -> str:
        data = [tmp_path / name for name in names]
        return cache_key({"data": data, "steps": 3}, program="train.main", env=None)

    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("one")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "part").write_text("two")
    before = key("a", "folder")
    assert key("b", "folder") == before
    (tmp_path / "folder" / "part").write_text("2")
    assert key("a", "folder") != before
