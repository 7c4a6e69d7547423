"""The program between the toolkit and an engine, killed in the worst ways."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from llmops_cli.runtime.paths import WORKERS
from llmops_cli.runtime.process import Supervised


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs Linux's parent-death signal"
)
def test_an_engine_ends_even_if_its_guard_is_killed_with_9() -> None:
    argv = [
        sys.executable,
        "-S",
        str(WORKERS / "_shared/guard.py"),
        "5",
        sys.executable,
        "-c",
        "import time; time.sleep(60)",
    ]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as guard:  # our end of the pipe stays open
        for _ in range(100):
            if children := psutil.Process(guard.pid).children():
                break
            time.sleep(0.05)
        (engine,) = children
        time.sleep(0.2)
        guard.kill()
        _, alive = psutil.wait_procs([engine], timeout=5)
        assert not alive


def test_a_second_ctrl_c_when_all_has_ended_is_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Supervised([sys.executable, "-c", ""], log_path=tmp_path / "log", env={})
    assert ended.wait(30) == 0
    wait = subprocess.Popen.wait
    interrupts = [KeyboardInterrupt()]

    def interrupted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if interrupts:
            raise interrupts.pop()
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ended.stop()
