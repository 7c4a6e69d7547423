"""A machine on which no environment was made yet: what is wrong with a wish comes before any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def llmops(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With environments whose Pythons are gone, so that whoever needs one ends with 3."""
    config = folder / "config" / "llmops"
    config.mkdir(parents=True, exist_ok=True)
    names = ("train", "llamacpp", "transformers", "quantize", "converter")
    lines = [f"{name}: {{python: /nowhere/python}}\n" for name in names]
    (config / "envs.yaml").write_text("".join(lines))
    return subprocess.run(
        [sys.executable, "-m", "llmops_cli", *arguments],
        cwd=folder,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder / "config")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_models_are_listed(tmp_path: Path) -> None:
    """`demo` is trained by libraries that are part of its key; without them it is not here yet."""
    listed = llmops(tmp_path, "models", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    (demo,) = [row for row in json.loads(listed.stdout) if row["name"] == "demo"]
    assert demo["path"] is None


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("bench --model ./nothing", "no model at ./nothing"),
        ("bench --slo tttft_p95=20ms", "tttft"),
        ("bench --slo ttft_p95=20ms --dataset gone.jsonl", "gone.jsonl"),
        ("bench --trace gone.csv", "gone.csv"),
        ("bench --rate 5 --concurrency 4", "--rate"),
        ("redteam --model ./nothing", "no model at ./nothing"),
        ("generate in.jsonl -o out.jsonl --model ./nothing", "no model at ./nothing"),
        ("train --data gone.jsonl -o m", "gone.jsonl"),
        ("train nosuch --data in.jsonl -o m", "nosuch"),
    ],
)
def test_what_is_wrong_is_told_before_an_environment_is_made(
    tmp_path: Path, command: str, said: str
) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n')
    ended = llmops(tmp_path, *command.split())
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr


def test_without_its_environment_a_command_says_which(tmp_path: Path) -> None:
    ended = llmops(tmp_path, "train", "--data", "demo", "--steps", "1", "-o", "m")
    assert ended.returncode == 3
    assert "environment 'train': no Python at /nowhere/python" in ended.stderr
