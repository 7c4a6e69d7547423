"""`llmops run` measures again what has changed, and says what it kept."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import Cli

Json = dict[str, Any]
LOAD = "{concurrency: [2], requests: 20, output_tokens: 4, warmup: 0, allow_invalid: true}"


def run(cli: Cli, recipe: str, folder: Path) -> Json:
    (folder / "recipe.yaml").write_text(recipe)
    shutil.rmtree(folder / "results", ignore_errors=True)
    done = cli("run", "recipe.yaml", "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def ttft(report: Json) -> float:
    return float(report["rows"][0]["levels"][0]["ttft_ms"]["p50"])


def reused(report: Json) -> list[bool]:
    return [step["reused"] for step in report["steps"]]


def test_a_server_that_got_slower_is_measured_again(
    cli: Cli, mock: Callable[..., Any], tmp_path: Path
) -> None:
    """The same recipe and address; what answers there is another."""
    fast = mock("--ttft-ms", "5")
    port = fast.url.rpartition(":")[2]
    recipe = f"""
engines: [{{name: there, backend: remote, options: {{url: "{fast.url}"}}}}]
bench: {LOAD}
"""
    first = run(cli, recipe, tmp_path)
    fast.stop()
    slow = mock("--ttft-ms", "75", port=int(port))
    second = run(cli, recipe, tmp_path)
    assert slow.url == fast.url
    assert ttft(first) < 30
    assert ttft(second) > 70
    assert reused(second) == [False]


def test_a_server_that_is_gone_is_no_old_figure(
    cli: Cli, mock: Callable[..., Any], tmp_path: Path
) -> None:
    server = mock("--ttft-ms", "5")
    recipe = f"""
engines: [{{name: there, backend: remote, options: {{url: "{server.url}"}}}}]
bench: {LOAD}
"""
    run(cli, recipe, tmp_path)
    server.stop()
    gone = cli("run", "recipe.yaml", "--json")
    assert gone.returncode == 3
    assert "nothing answers at" in gone.stderr
    assert not gone.stdout


def test_one_engine_that_fails_leaves_the_others_their_turn(
    cli: Cli, mock: Callable[..., Any], tmp_path: Path
) -> None:
    server = mock("--ttft-ms", "5")
    there = f'{{name: there, backend: remote, options: {{url: "{server.url}"}}}}'
    gone = '{name: gone, backend: remote, options: {url: "http://127.0.0.1:9"}}'
    (tmp_path / "recipe.yaml").write_text(f"engines: [{gone}, {there}]\nbench: {LOAD}\n")
    run = cli("run", "recipe.yaml", "--json")
    assert run.returncode == 4
    assert "1 of 2 failed; gone: nothing answers at" in run.stderr
    failed, measured = json.loads(run.stdout)["rows"]
    assert failed["failure"].startswith("nothing answers at")
    assert measured["levels"]
    assert measured["failure"] is None


def test_an_engine_is_kept_until_its_options_change(cli: Cli, tmp_path: Path) -> None:
    recipe = """
engines: [{name: ours, backend: sim, options: {ttft_ms: "%d"}}]
bench: {concurrency: [2], requests: 30, output_tokens: 4, warmup: 0}
"""
    first = run(cli, recipe % 5, tmp_path)
    again = run(cli, recipe % 5, tmp_path)
    changed = run(cli, recipe % 60, tmp_path)
    if all(level["valid"] for level in first["rows"][0]["levels"]):
        assert reused(again) == [True]
    assert reused(changed) == [False]
    assert ttft(changed) > 50


def test_a_usage_error_leaves_no_run_folder(cli: Cli, tmp_path: Path) -> None:
    commands: list[list[str]] = [
        ["bench", "--backend", "sim", "--set", "quueue=1"],
        ["bench", "--url", "http://127.0.0.1:9"],
        ["redteam", "--backend", "sim", "--set", "quueue=1"],
        ["redteam", "--url", "http://127.0.0.1:9"],
        ["redteam", "--suite", "no-such-suite"],
    ]
    for command in commands:
        done: subprocess.CompletedProcess[str] = cli(*command)
        assert done.returncode in (2, 3), done.stderr
        assert not (tmp_path / "results").exists(), command


def test_an_engine_that_dies_under_redteam_leaves_the_log_that_the_error_names(
    cli: Cli, tmp_path: Path
) -> None:
    done = cli("redteam", "--backend", "sim", "--set", "die_after=3", "-o", "run")
    assert done.returncode == 4, done.stderr
    assert (tmp_path / "run" / "sim.log").is_file()
