"""How a builder of images is asked."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.deploy.images.build import INDEX, build
from llmops_cli.deploy.images.context import claimed_context, write_context

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


LONG = """#!/bin/sh
trap 'echo unmounted > ended; exit 1' TERM
sleep 300 &
echo $! > below
wait
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_of_a_build_that_is_interrupted_is_left(tmp_path: Path, number: int) -> None:
    builder = tmp_path / "buildah"
    builder.write_text(LONG)
    builder.chmod(0o755)
    folder = tmp_path / "image"
    argv = [sys.executable, "-m", "llmops_cli", "deploy", "image", "--for", "llamacpp"]
    env = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    process = subprocess.Popen(
        [*argv, "-o", str(folder)], env=env, text=True, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 30
    while not (folder / "below").is_file() or not (folder / "below").read_text().strip():
        assert time.monotonic() < until
        time.sleep(0.02)
    with pytest.raises(UsageError, match="is in use"), claimed_context(folder):
        pass
    below = int((folder / "below").read_text())
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert len(said.splitlines()) <= 2, said
    assert (folder / "ended").is_file()
    assert not psutil.pid_exists(below) or psutil.Process(below).status() == "zombie"
    write_context(folder, "llamacpp", base="localhost/base:1", wheels=None)  # and once more


def test_a_full_disk_is_told_in_a_line(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(EnvironmentMissing) as told:
            write_context(tmp_path / "image", "llamacpp", base="localhost/base:1", wheels=None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(told.value.message) < 200
    write_context(tmp_path / "image", "llamacpp", base="localhost/base:1", wheels=None)
