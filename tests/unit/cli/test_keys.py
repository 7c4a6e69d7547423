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
