"""Keys where there are none yet."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from llmops_cli.cli.app import command_line


def test_an_empty_list_says_how_a_key_is_made(tmp_path: Path) -> None:
    env = {"LLMOPS_STATE_DIR": str(tmp_path / "state")}
    done = CliRunner().invoke(command_line(()), ["keys", "list"], env=env)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "llmops keys create" in done.stderr
    listed = CliRunner().invoke(command_line(()), ["keys", "list", "--json"], env=env)
    assert json.loads(listed.stdout) == []


PRICED = """
upstreams:
  a: {url: "http://127.0.0.1:9/v1", price: {input: 1, output: 1}}
  b: {url: "http://127.0.0.1:9/v1"}
models: {cheap: {pool: [a]}, unpriced: {pool: [b]}}
"""


def keys(tmp_path: Path, *words: str) -> int:
    env = {
        "LLMOPS_STATE_DIR": str(tmp_path / "state"),
        "LLMOPS_SERVE_CONFIG": str(tmp_path / "gateway.yaml"),
    }
    done = CliRunner().invoke(command_line(()), ["keys", *words], env=env)
    return done.exit_code if done.exception is None else getattr(done.exception, "exit_code", -1)


def test_a_key_with_a_budget_gets_no_model_without_a_price(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(PRICED)
    assert (
        keys(tmp_path, "create", "--name", "k", "--models", "cheap", "--budget-dollars", "5") == 0
    )
    assert keys(tmp_path, "update", "k", "--models", "unpriced") == 2
    assert keys(tmp_path, "update", "k", "--add-model", "unpriced") == 2
    assert keys(tmp_path, "update", "k", "--clear", "budget_dollars", "--models", "unpriced") == 0


def test_a_key_for_a_model_that_is_not_in_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(PRICED)
    env = {"LLMOPS_STATE_DIR": str(tmp_path / "state")}
    said = []
    for words in (
        ["create", "--name", "k", "--models", "chaep"],
        ["update", "k", "--models", "cheap"],
        ["update", "k", "--add-model", "chaep"],
    ):
        argv = ["keys", *words, "--config", str(tmp_path / "gateway.yaml")]
        done = CliRunner().invoke(command_line(()), argv, env=env)
        assert done.exit_code == 0
        said.append("k may use chaep, which is no model of this file" in done.stderr)
    assert said == [True, False, True]


def test_a_key_is_taken_back_whatever_the_gateways_file_says(tmp_path: Path) -> None:
    """In the middle of an edit, or where a variable of it is not set."""
    (tmp_path / "gateway.yaml").write_text(PRICED)
    assert (
        keys(tmp_path, "create", "--name", "k", "--models", "cheap", "--budget-dollars", "5") == 0
    )
    (tmp_path / "gateway.yaml").write_text("upstreams: {a: {url: '${NOT_SET}'")
    assert keys(tmp_path, "update", "k", "--clear", "budget_dollars") == 0
    assert keys(tmp_path, "update", "k", "--streams", "1") == 0
    assert keys(tmp_path, "create", "--name", "other") == 0
