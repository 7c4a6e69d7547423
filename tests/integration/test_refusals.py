"""A server that refuses everything is heard: what it says stands beside what was counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chat_server import serving
from tests.conftest import Cli

SAID = "no model 'nope' here; there is demo"
CASES = """\
prompts: ["Say {{word}}"]
tests:
  - {vars: {word: hi}, assert: [{type: icontains, value: hi}]}
"""
COMMANDS = (
    ("generate", "in.jsonl", "-o", "out.jsonl"),
    ("redteam", "--max-attempts", "5", "-o", "run"),
    ("prompt", "run", "What is 1 + 1?", "-o", "run"),
    ("prompt", "eval", "cases.yaml", "-o", "run"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_what_the_server_says_is_told(command: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    (tmp_path / "cases.yaml").write_text(CASES)
    with serving(lambda _: (404, {"error": {"message": SAID}}), model="demo") as server:
        done = cli(*command, "--url", server.url, "--model", "nope")
    assert done.returncode == 4, done.stderr
    assert done.stderr.count(f"http 404: {SAID}") == 1
    assert "--model" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_a_variable_that_is_named_and_not_set_is_told(
    command: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    """Beside an engine of ours too, which is sent no key."""
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "cases.yaml").write_text(CASES)
    before = set(tmp_path.iterdir())
    done = cli(*command, "--backend", "sim", "--api-key-env", "NOPE")
    assert done.returncode == 3, done.stderr
    assert "NOPE is not set" in done.stderr
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "cache"}


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (("redteam", "--judge-model", "j"), "--judge-url"),
        (("prompt", "eval", "cases.yaml", "--judge-model", "j"), "--judge-url"),
        (("prompt", "run", "Why?", "--technique", "reflect"), "--evaluator-url"),
        (
            ("prompt", "optimize", "many.yaml", "--budget-calls", "90", "--proposer", "p"),
            "--proposer-url",
        ),
    ],
)
def test_a_helper_that_is_not_there_is_named_by_its_flag(
    command: tuple[str, ...], flag: str, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "cases.yaml").write_text(CASES)
    case = CASES.splitlines()[-1]
    more = [case.replace("hi}", f"hi{number}}}") for number in range(14)]
    (tmp_path / "many.yaml").write_text("\n".join([CASES, *more]))
    with serving(lambda _: (404, {}), model="demo") as server:
        done = cli(*command, "--url", server.url, flag, "http://127.0.0.1:9")
        assert not server.bodies
    assert done.returncode == 3, done.stderr
    assert f"check {flag}" in done.stderr
