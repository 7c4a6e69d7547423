"""A GGUF file of mixed types for real, on the demo model: measured, made, within its size."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Json = dict[str, Any]
QUICK = ("--eval-tokens", "2048", "--no-verify", "-o", "out", "--json")


class Made:
    """llama.cpp's own file, and a mix that may be as large."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        (self.theirs,) = self.quantized("--scheme", "Q4_K_M")
        (self.ours,) = self.quantized(*self.fit)

    @property
    def fit(self) -> tuple[str, ...]:
        return ("--mix", "auto", "--fit", f"{self.theirs['size_bytes']}B")

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "llmops_cli", "quantize", "demo", *options, *QUICK],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def quantized(self, *options: str) -> list[Json]:
        run = self.run(*options)
        assert run.returncode == 0, run.stderr[-3000:]
        found: list[Json] = json.loads(run.stdout)["artifacts"]
        return found

    def inspected(self, path: str) -> Json:
        run = subprocess.run(
            [sys.executable, "-m", "llmops_cli", "quantize", "inspect", path, "--json"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found: Json = json.loads(run.stdout)
        return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Made:
    return Made(tmp_path_factory.mktemp("mix"), shared_cache)


def test_it_fits_and_is_as_near_to_the_model_as_llama_cpps_own_mixture(made: Made) -> None:
    """Nearer on most: each machine trains its own demo, and some lose next to nothing either way.
    How much nearer on a real model: docs/QUANTIZE.md.
    """
    assert made.ours["problems"] == []
    assert made.ours["size_bytes"] <= made.theirs["size_bytes"]
    assert made.ours["size_bytes"] == (made.folder / made.ours["path"]).stat().st_size
    assert made.ours["kl_divergence"] < 1.2 * made.theirs["kl_divergence"]


def test_the_file_has_the_types_and_the_size_that_the_report_tells(made: Made) -> None:
    mixture = made.ours["mixture"]
    assert made.ours["size_bytes"] <= mixture["size_bytes"] <= mixture["room_bytes"]
    told: dict[str, int] = {}
    for tensor in mixture["tensors"]:
        told[tensor["type"]] = told.get(tensor["type"], 0) + 1
    found: dict[str, int] = {}
    for kind in made.inspected(made.ours["path"])["kinds"]:
        for name, count in kind["types"].items():
            found[name] = found.get(name, 0) + count
    assert len(told) > 2, "one type would be no mix"
    assert {name: found[name] for name in told} == told


def test_what_was_predicted_is_near_what_was_measured(made: Made) -> None:
    predicted = made.ours["mixture"]["predicted_loss"]
    assert made.ours["mixture"]["least_loss"] <= predicted
    assert 0.4 < made.ours["kl_divergence"] / predicted < 2.5


@pytest.mark.thorough
def test_another_size_measures_nothing_again_and_the_same_makes_nothing_again(made: Made) -> None:
    kept = list((made.folder / "out").glob("*sensitivity*/sensitivities.json"))
    times = [path.stat().st_mtime_ns for path in kept]
    assert len(kept) == 1
    larger = int(made.theirs["size_bytes"] * 1.2)
    (again, other) = made.quantized("--scheme", "Q4_K_M", "--mix", "auto", "--fit", f"{larger}B")
    assert again["reused"]
    assert not other["reused"]
    assert made.ours["size_bytes"] < other["size_bytes"] <= larger
    assert other["kl_divergence"] < made.ours["kl_divergence"]
    (same,) = made.quantized(*made.fit)
    assert same["reused"]
    assert same["mixture"] == made.ours["mixture"]
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_a_size_that_nothing_fits_is_refused_with_one_that_does(made: Made) -> None:
    run = made.run("--mix", "auto", "--fit", "100kB")
    assert run.returncode == 2
    assert "no mix fits 0.10 MB" in run.stderr
    hinted = run.stderr.rpartition("--fit ")[2].split()[0]
    (smallest,) = made.quantized("--mix", "auto", "--fit", hinted)
    assert smallest["size_bytes"] <= int(hinted.removesuffix("MB")) * 1_000_000


def test_quantized_files_are_no_source_of_a_mix(made: Made, demo_cli: Cli) -> None:
    path = made.folder / made.theirs["path"]
    argv = ["quantize", str(path), "--mix", "auto", "--fit", "1MB", *QUICK]
    refused = demo_cli(*argv)
    assert refused.returncode == 2
    assert "is quantized already (Q4_K, Q6_K)" in refused.stderr
    allowed = demo_cli(*argv, "--allow-requantize")
    assert allowed.returncode == 2
    assert "16 bits" in allowed.stderr


def test_what_was_measured_before_a_kill_is_not_measured_again(
    made: Made, shared_cache: Path, tmp_path: Path
) -> None:
    """Seen by what the killed run left: a loss that is changed there is the one that counts."""
    argv = [sys.executable, "-m", "llmops_cli", "quantize", "demo", "--imatrix", "none"]
    argv += ["--mix", "auto", "--fit", "1MB", "--no-quality", "--no-verify", "-o", "out", "--json"]
    kept = shared_cache / "llmops" / "sensitivity"
    for path in kept.glob("*.jsonl"):
        path.unlink()
    process = subprocess.Popen(
        argv,
        cwd=tmp_path,
        env=made.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    left = wait_for_lines(kept)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    _gone, alive = psutil.wait_procs(below, timeout=15)
    assert not alive
    lines = [line for line in left.read_text().splitlines() if line]
    name, measured = json.loads(lines[0])
    left.write_text(json.dumps([name, {**measured, "loss": 1000.0}]) + "\n" + '["cut')
    run = subprocess.run(
        argv,
        cwd=tmp_path,
        env=made.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    (entry,) = json.loads(run.stdout)["artifacts"]
    (tensor,) = measured["errors"]
    types = {each["name"]: each["type"] for each in entry["mixture"]["tensors"]}
    assert types[tensor] == "F16", "no byte is too many for a tensor that costs so much"
    assert not left.exists()


def wait_for_lines(folder: Path) -> Path:
    """The file of a run that has begun to measure."""
    for _ in range(20_000):
        for path in folder.glob("*.jsonl"):
            if path.read_text().endswith("\n"):
                return path
        time.sleep(0.005)
    pytest.fail("nothing was measured")
