"""`llmops train` on two ranks, asked to end, killed, gone on with: the same model in the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import empty_cache

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")

RECIPE = """
data: [chats.jsonl]
hidden_size: 32
intermediate_size: 64
layers: 1
heads: 2
kv_heads: 1
vocab_size: 300
context: 128
sequence_length: 128
accumulate: 1
batch_size: 8
steps: 120
checkpoint_every: 10
strategy: ddp
nproc: 2
"""
STEPS = 120


class Command:
    """`llmops train` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"add {number} and {number % 7}"},
                    {"role": "assistant", "content": str(number + number % 7)},
                ]
            }
            for number in range(300)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "chats.jsonl").write_text(text)
        (folder / "tiny.yaml").write_text(RECIPE)

    def begin(self, output: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "llmops_cli", "train", "--recipe", "tiny.yaml"]
        return subprocess.Popen(
            [*argv, "-o", output, "--json"],
            cwd=self.folder,
            env={**os.environ, "XDG_CACHE_HOME": str(empty_cache(self.folder / "cache"))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, output: str) -> dict[str, Any]:
        with self.begin(output) as process:
            report, words = process.communicate(timeout=600)
        assert process.returncode == 0, words
        return dict(json.loads(report))

    def wait_for_steps(self, output: str, count: int) -> None:
        deadline_s = time.monotonic() + 400
        while len(self.steps(output)) < count:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)

    def steps(self, output: str) -> list[int]:
        path = self.folder / output / "metrics.jsonl"
        if not path.exists():
            return []
        lines = path.read_text().splitlines(keepends=True)
        return [json.loads(line)["step"] for line in lines if line.endswith("\n")]


def processes_below(process: subprocess.Popen[str], word: str) -> list[psutil.Process]:
    found = psutil.Process(process.pid).children(recursive=True)
    return [each for each in found if word in " ".join(each.cmdline()) and _is_program(each)]


def _is_program(process: psutil.Process) -> bool:
    return "guard.py" not in " ".join(process.cmdline())


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_run_that_was_ended_and_killed_makes_the_model_of_one_that_was_not(
    tmp_path: Path,
) -> None:
    command = Command(tmp_path)
    whole = command.run("whole")
    assert whole["export"]["is_checked"]

    with command.begin("broken") as first:
        command.wait_for_steps("broken", 12)
        first.send_signal(signal.SIGTERM)
        _, words = first.communicate(timeout=400)
    assert first.returncode == 130, words
    assert "ended by SIGTERM after step" in words
    assert "the same command goes on from there" in words

    with command.begin("broken") as second:
        command.wait_for_steps("broken", 40)
        ranks = [
            each
            for each in processes_below(second, "train.main")
            if "torch.distributed.run" not in " ".join(each.cmdline())
        ]
        ranks[-1].kill()
        killed_s = time.monotonic()
        _, words = second.communicate(timeout=400)
    assert second.returncode == 4, words
    assert "died in" in words
    assert time.monotonic() - killed_s < 60

    last = command.run("broken")
    assert last["resumed_from"] is not None
    assert last["digest"] == whole["digest"]
    assert last["loss_curve"] == whole["loss_curve"]
    assert command.steps("broken") == list(range(1, STEPS + 1))
