"""A run that is killed with -9 at any moment, also inside a save, goes on as if it never was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import IS_THOROUGH, unmeasured

SEEDS = "0:36" if IS_THOROUGH else "0:12"
LEAST_KILLED = 30 if IS_THOROUGH else 10
ROOT = Path(__file__).parent.parent.parent
KILLED = re.compile(r"(?:rank \d|all|launcher) (?:any time|in save \d)")


@pytest.mark.timeout(900)  # 100 CPU seconds, and much of it waits for the disk
@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the parent-death signal")
def test_runs_that_were_killed_end_as_one_that_was_not(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.train_kills", "--seeds", SEEDS, "--folder", str(tmp_path)]
    run = subprocess.run(
        argv,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=unmeasured(os.environ),
        check=False,
        timeout=880,
        start_new_session=True,
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(KILLED.findall(run.stdout)) >= LEAST_KILLED
