"""What killed runs leave in the cache goes; what somebody still needs stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmops_cli.core.errors import EngineFailed, UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.core.spec import JobSpec
from llmops_cli.runtime.files import locked
from llmops_cli.runtime.leftovers import (
    FAILED,
    LOGS_KEPT_S,
    QUIET_S,
    remove_left,
    remove_partials,
    run_in_cache,
)

SAYING = """
import json, sys
from pathlib import Path
folder = Path(sys.argv[-2])
wish = json.loads((folder / "input.json").read_text())["wish"]
if wish == "work":
    (folder / "output.json").write_text('{"done": true}')
if wish == "refuse":
    error = {"rank": 0, "at_s": 0.0, "kind": "UsageError", "message": "no", "hint": None}
    (folder / "error-0.json").write_text(json.dumps(error))
sys.exit(wish != "work")
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the folders of jobs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "llmops" / "jobs"


def run(tmp_path: Path, wish: str) -> object:
    program = tmp_path / "saying.py"
    program.write_text(SAYING)
    job = JobSpec(
        name="say",
        python=sys.executable,
        launcher=(str(program),),
        program="saying",
        input={"wish": wish},
    )
    return run_in_cache(job, name="convert-abc", progress=Silent()).output


def test_a_folder_stays_only_where_the_error_names_its_log(root: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "work") == {"done": True}
    with pytest.raises(UsageError):
        run(tmp_path, "refuse")
    assert list(root.iterdir()) == []
    with pytest.raises(EngineFailed) as failure:
        run(tmp_path, "break")
    (kept,) = root.iterdir()
    assert str(kept) in str(failure.value.hint)
    assert (kept / "say.log").is_file()
    assert run(tmp_path, "work") == {"done": True}
    assert list(root.iterdir()) == [kept]
    old_s = time.time() - LOGS_KEPT_S - 60
    os.utime(kept / FAILED, (old_s, old_s))
    remove_left(root)
    assert list(root.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_one_has_stays(root: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    names = ("convert-abc-x8_k2", f"convert-abc-{os.getpid()}", f"convert-abc-{ended.pid}")
    for name in (*names, "imatrix-held"):
        (root / name).mkdir(parents=True)
        (root / name / "input.json").write_text("{}")
    with locked(root / "imatrix-held"):
        remove_left(root)
        left = {path.name for path in root.glob("[!.]*")}
    assert left == {f"convert-abc-{os.getpid()}", "imatrix-held"}


def test_half_made_models_go_when_nobody_makes_them(root: Path, tmp_path: Path) -> None:
    models = root.with_name("quantized")
    (models / ".folder.partial").mkdir(parents=True)
    files = (".killed.gguf.partial", ".held.gguf.partial", ".new.gguf.partial", "whole.gguf")
    for name in (*files, ".folder.partial/model.safetensors"):
        (models / name).write_bytes(b"x")
    old_s = time.time() - QUIET_S - 60
    for path in models.rglob("*"):
        if "new" not in path.name:
            os.utime(path, (old_s, old_s))
    with locked(models / "held.gguf"):
        remove_partials(models)
    left = {path.name for path in models.iterdir()}
    assert left == {".held.gguf.partial", ".new.gguf.partial", "whole.gguf"}
    own = tmp_path / ".mine.partial"
    own.write_bytes(b"x")
    os.utime(own, (old_s, old_s))
    remove_partials(tmp_path)
    assert own.exists()
