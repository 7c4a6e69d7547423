"""Images are built, the rendered pods are played, and a change of each cuts no stream."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli

TOOLS = ("mmdebstrap", "buildah", "podman", "runc")
ROOT = Path(__file__).resolve().parents[2]
STREAMS = 12


def missing() -> str:
    found = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0:
        found.append("root")
    return ", ".join(found)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_pods_are_built_and_played_and_changed_without_a_lost_stream(
    demo_cli: Cli, tmp_path: Path
) -> None:
    if missing():
        pytest.skip(f"containers are not made here: {missing()} missing")
    models = tmp_path / "models"
    models.mkdir()
    made = demo_cli("convert", "demo", "--to", "gguf", "-o", "models/demo.gguf", "--no-check")
    assert made.returncode == 0, made.stderr
    argv = [sys.executable, "benchmarks/containers.py", "--work", str(tmp_path / "work")]
    argv += ["--models", str(models), "--streams", str(STREAMS)]
    trial = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=1700, check=False
    )
    assert trial.returncode == 0, trial.stderr
    found = json.loads(trial.stdout)
    assert found["a streamed answer"] == {"whole": 1}
    assert found["kept in Redis"] > 0
    for change in ("another engine", "another gateway"):
        assert set(found[change]) == {"whole"}
        assert found[change]["whole"] >= STREAMS
    killed = found["an engine killed"]
    assert killed["whole"] >= STREAMS
    assert sum(killed.values()) - killed["whole"] <= STREAMS
    assert found["after that"] == {"whole": 1}
