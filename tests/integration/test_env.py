"""Environments: made whole or not at all, really imported, mended, and gone with us if we die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import Cli

BACKEND = """
import time, zipfile
FILES = {{
    "METADATA": "Metadata-Version: 2.1\\nName: frail\\nVersion: 1.0\\n",
    "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "RECORD": "",
}}
def build_wheel(folder, config_settings=None, metadata_directory=None):
    time.sleep({seconds})
    name = "frail-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("frail.py", open("frail.py").read())
        for file, text in FILES.items():
            wheel.writestr("frail-1.0.dist-info/" + file, text)
    return name
"""


@pytest.fixture
def frail(tmp_path: Path) -> Path:
    """An environment of the user's own, whose one package lies in a folder here."""
    package = tmp_path / "frail"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (package / "backend.py").write_text(BACKEND.format(seconds=0))
    (package / "frail.py").write_text("VALUE = 1\n")
    environments = tmp_path / "config" / "llmops" / "envs"
    environments.mkdir(parents=True)
    (environments / "frail.txt").write_text(f"#: modules frail\n{package}\n")
    return package


def test_what_was_installed_and_cannot_be_imported_is_not_kept(cli: Cli, frail: Path) -> None:
    (frail / "frail.py").write_text("raise OSError('libfrail.so: no such file')\n")
    made = cli("env", "create", "frail")
    assert made.returncode == 4, made.stderr
    assert "cannot import frail" in made.stderr
    assert "libfrail.so" in made.stderr


def test_an_environment_is_shown_and_when_it_broke_told_of_and_mended(
    cli: Cli, frail: Path
) -> None:
    made = cli("env", "create", "frail")
    assert made.returncode == 0, made.stderr
    python = Path(made.stdout.strip())
    shown = cli("env", "show", "frail")
    assert shown.returncode == 0
    assert str(python) in shown.stdout
    installed = next(python.parent.parent.glob("lib/*/site-packages/frail.py"))
    installed.write_text("import no_such_library\n")
    shown = cli("env", "show", "frail")
    assert shown.returncode == 3
    assert "broken" in shown.stderr
    assert "no_such_library" in shown.stderr
    assert "llmops env create frail" in shown.stderr
    doctor = cli("doctor")
    assert "no_such_library" in doctor.stdout
    assert cli("env", "create", "frail").returncode == 0
    assert cli("env", "show", "frail").returncode == 0
    assert installed.read_text() == "VALUE = 1\n"


def test_a_python_of_the_users_own_is_asked_too(cli: Cli, frail: Path, tmp_path: Path) -> None:
    config = tmp_path / "config" / "llmops" / "envs.yaml"
    config.write_text(f"frail: {{python: {sys.executable}}}\n")
    shown = cli("env", "show", "frail")
    assert shown.returncode == 3
    assert "has no frail" in shown.stderr


def test_kill_9_of_a_creation_leaves_no_installer_and_nothing_half_made(
    cli: Cli, frail: Path, tmp_path: Path
) -> None:
    (frail / "backend.py").write_text(BACKEND.format(seconds=120))
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    command = [sys.executable, "-m", "llmops_cli", "env", "create", "frail"]
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as creating:
        _until(lambda: any("backend" in line or "pip" in line for line in _below(tmp_path)))
        creating.send_signal(signal.SIGKILL)
    _until(lambda: not _below(tmp_path))
    (frail / "backend.py").write_text(BACKEND.format(seconds=0))
    assert cli("env", "create", "frail").returncode == 0


def _below(folder: Path) -> list[str]:
    """Command lines of processes that name the folder, this one's aside."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(folder) in line and process.pid != os.getpid():
            found.append(line)
    return found


def _until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.2)


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME"])
def test_a_cache_that_cannot_be_written_is_named_with_its_variable(
    cli: Cli, frail: Path, variable: str
) -> None:
    made = cli("env", "create", "frail", env={variable: "/proc/nowhere"})
    assert made.returncode == 3, made.stderr
    assert "cannot write /proc/nowhere" in made.stderr
    assert variable in made.stderr


def test_a_full_disk_is_called_one(cli: Cli, frail: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine cannot mount a small disk")
    try:
        made = cli("env", "create", "frail", env={"XDG_CACHE_HOME": str(small)})
        assert made.returncode == 3, made.stderr
        assert "no space left" in made.stderr
        assert "XDG_CACHE_HOME" in made.stderr
        assert "bug" not in made.stderr
    finally:
        subprocess.run(["umount", str(small)], check=True)
