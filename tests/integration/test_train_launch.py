"""One command, launched by itself, joined under torchrun and srun, stopped and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.runtime.server import free_port
from tests.conftest import Cli, empty_cache

pytest.importorskip("torch", reason="torch is not installed")

pytestmark = [pytest.mark.timeout(600)]
SMALL = ("--steps", "4", "--batch-size", "8", "--threads", "1", "--precision", "f32")
Json = dict[str, Any]


def chat(number: int) -> Json:
    answer = f"It is {number + 1}."
    return {
        "messages": [
            {"role": "user", "content": f"What comes after {number}?"},
            {"role": "assistant", "content": answer},
        ]
    }


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "chats.jsonl"
    lines = [json.dumps(chat(number)) for number in range(200)]
    path.write_text("\n".join(lines))
    return path


def environ(folder: Path) -> dict[str, str]:
    """As that of the `cli` fixture."""
    return {
        **os.environ,
        "XDG_CACHE_HOME": str(empty_cache(folder / "cache")),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }


def test_two_processes_make_a_model_once_and_it_is_compared(
    chats: Path, cli: Cli, tmp_path: Path
) -> None:
    asked = ("train", "--data", str(chats), *SMALL, "--nproc", "2", "--validation-share", "10%")
    first = json.loads(cli(*asked, "-o", "two", "--json").stdout)
    assert (first["strategy"], first["world_size"], first["steps"]) == ("ddp", 2, 4)
    assert len(first["loss_curve"]) == len(first["grad_norm_curve"]) == 4
    assert first["validation"][-1]["perplexity"] > 1
    assert first["plan"]["per_device_bytes"]["weights"]
    assert first["export"]["is_checked"]
    lines = (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    again = cli(*asked, "-o", "two")
    assert "kept two" in again.stderr
    (run, _) = sorted((tmp_path / "results").glob("*-train-two*"))
    assert {path.name for path in run.iterdir()} >= {"report.json", "report.csv", "report.html"}
    gate = cli("report", "gate", str(run), "--fail-if", "loss > 0.001")
    assert gate.returncode == 5
    other = cli(*asked, "--seed", "1", "-o", "two")
    assert other.returncode == 2
    assert "another run" in other.stderr


@pytest.mark.thorough
def test_torchrun_starts_ranks_that_join(chats: Path, tmp_path: Path) -> None:
    """Without a word of the ranks that are not the first."""
    launcher = [
        sys.executable,
        *("-m", "torch.distributed.run", "--nproc-per-node", "2", "--nnodes", "1"),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"),
        *("-m", "llmops_cli", "train", "--data", str(chats), *SMALL, "-o", "joined", "--json"),
    ]
    run = subprocess.run(
        launcher, cwd=tmp_path, env=environ(tmp_path), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert (report["strategy"], report["world_size"]) == ("ddp", 2)
    assert not list((tmp_path / "joined").glob(".job/rank-*"))
    assert len(list((tmp_path / "results").iterdir())) == 1


@pytest.mark.thorough
def test_two_nodes_are_the_same_command_twice(chats: Path, tmp_path: Path) -> None:
    """Each with its number; the first one reports."""
    command = [sys.executable, "-m", "llmops_cli", "train", "--data", str(chats), *SMALL]
    command += ["--nnodes", "2", "--rendezvous", f"127.0.0.1:{free_port()}", "-o", "nodes"]
    nodes = [
        subprocess.Popen(
            [*command, "--node-rank", str(number), "--json"],
            cwd=tmp_path,
            env=environ(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    said = [node.communicate() for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    report = json.loads(said[0][0])
    assert (report["strategy"], report["world_size"], report["steps"]) == ("ddp", 2, 4)
    assert said[1][0] == ""


def test_sruns_tasks_are_ranks(chats: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llmops_cli", "train", "--data", str(chats), *SMALL]
    tasks = []
    for rank in range(2):
        task = {
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_NTASKS": "2",
            "SLURM_STEP_ID": "0",
            "SLURM_PROCID": str(rank),
            "SLURM_LOCALID": str(rank),
            "SLURM_JOB_NODELIST": "node7",
        }
        process = subprocess.Popen(
            [*command, "-o", "srun", "--json"],
            cwd=tmp_path,
            env={**environ(tmp_path), **task},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        tasks.append(process)
    said = [task.communicate() for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert json.loads(said[0][0])["world_size"] == 2
    assert said[1] == ("", "")


def test_a_run_that_is_stopped_goes_on_to_the_same_end(
    chats: Path, cli: Cli, tmp_path: Path
) -> None:
    asked = ("train", "--data", str(chats), "--batch-size", "8", "--threads", "1", "--steps", "60")
    command = [sys.executable, "-m", "llmops_cli", *asked, "--precision", "f32", "-o", "stopped"]
    run = subprocess.Popen(
        command, cwd=tmp_path, env=environ(tmp_path), stderr=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "stopped" / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    _, words = run.communicate()
    assert run.returncode == 130, words
    assert "which is saved" in words
    report = json.loads(cli(*asked, "--precision", "f32", "-o", "stopped", "--json").stdout)
    assert report["resumed_from"] >= 3
    assert report["steps"] == 60
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == list(range(1, 61))
