"""How a builder of images is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.deploy.images.build import INDEX, build

SECRET = "hunter2"
BUILDER = """#!/bin/sh
if [ "$1" = build ]
then
  echo "$@" > argv
  echo "$PIP_INDEX_URL" > index
else
  echo 1000
fi
"""


def test_an_index_s_password_stands_in_no_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody on a machine may read those."""
    url = f"https://user:{SECRET}@example.org/simple"
    monkeypatch.setenv(INDEX, url)
    builder = tmp_path / "docker"
    builder.write_text(BUILDER)
    builder.chmod(0o755)
    build(tmp_path, tag="a:1", builder=str(builder), log=tmp_path / "log")
    assert (tmp_path / "index").read_text().strip() == url
    argv = (tmp_path / "argv").read_text()
    assert f"--build-arg {INDEX} " in argv
    assert SECRET not in argv
