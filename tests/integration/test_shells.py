"""The manual page as man reads it, and completion in real shells under a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmops_cli.cli.app import COMMANDS
from llmops_cli.cli.man import manual

WAIT_S = 60.0
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D\n"),
    "fish": (["fish", "--no-config", "-i"], ""),
}
"""Shell -> how it is started, and what its completion needs before it."""


def test_the_manual_has_every_command_and_is_no_wrong_macro() -> None:
    page = manual()
    for name in COMMANDS:
        assert f".SS llmops {name}" in page
    assert ".SS llmops engines start" in page
    assert "\n.B \\-\\-concurrency <" in page
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    argv = ["groff", "-man", "-Tutf8", "-ww"]
    done = subprocess.run(argv, input=page, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "train, quantize, serve" in " ".join(done.stdout.split())


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "completed"), [("llmops rec", "recipes"), ("llmops env sh", "show")]
)
def test_a_shell_completes_what_is_typed(
    tmp_path: Path, shell: str, typed: str, completed: str
) -> None:
    argv, before = SHELLS[shell]
    for program in ("setsid", shell):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    script = tmp_path / "completion"
    script.write_text(_script_of(shell, tmp_path))
    terminal = _Terminal(argv, tmp_path)
    try:
        terminal.type(f"{before}source {script}\necho rea''dy\n")
        terminal.read_until("ready")
        terminal.type(f"{typed}\t")
        terminal.read_until(completed)
    finally:
        terminal.close()


def _script_of(shell: str, folder: Path) -> str:
    env = {**_environment(folder), "_LLMOPS_COMPLETE": f"source_{shell}"}
    argv = [str(folder / "bin" / "llmops")]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout


def _environment(folder: Path) -> dict[str, str]:
    """With `llmops` on the path, whichever way the tests found the package."""
    program = folder / "bin" / "llmops"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m llmops_cli "$@"\n')
        program.chmod(0o755)
    root = str(Path(__file__).parents[2])
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": root,
        "HOME": str(folder),
        "TERM": "dumb",
    }


class _Terminal:
    """A shell at a pseudo-terminal."""

    def __init__(self, argv: list[str], folder: Path) -> None:
        own, other = pty.openpty()
        self._file = own
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *argv],
            stdin=other,
            stdout=other,
            stderr=other,
            env=_environment(folder),
            cwd=folder,
        )
        os.close(other)

    def type(self, text: str) -> None:
        os.write(self._file, text.encode())

    def read_until(self, word: str) -> None:
        """What comes after what was read before."""
        end_s = time.monotonic() + WAIT_S
        seen = ""
        while word not in seen:
            left_s = end_s - time.monotonic()
            ready, _, _ = select.select([self._file], [], [], max(0.0, left_s))
            assert ready, f"no {word!r} in {seen!r}"
            seen += os.read(self._file, 65_536).decode(errors="replace")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._file)
