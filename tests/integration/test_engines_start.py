"""`llmops engines start`: an engine by itself, of which nothing is left when it is stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Cli, empty_cache

WAIT_S = 60


def hear_interrupts() -> None:
    """In the new process: tests that run in the background would hand on that they are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ignore_interrupts() -> None:
    """As a script's shell does for its background jobs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def engine(
    folder: Path,
    *words: str,
    before: Callable[[], None] = hear_interrupts,
) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "llmops_cli", "engines", "start", "sim", *words, "--json"]
    env = {**os.environ, "XDG_CACHE_HOME": str(empty_cache(folder / "cache"))}
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=before,  # noqa: PLW1509
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def standing(process: subprocess.Popen[str]) -> dict[str, Any]:  # Any: JSON
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            break
    return dict(json.loads(text))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_it_is_stopped_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    with engine(tmp_path) as process:
        found = standing(process)
        with urllib.request.urlopen(f"{found['url']}/models", timeout=WAIT_S) as reply:
            listed = json.loads(reply.read())
        assert [each["id"] for each in listed["data"]] == [found["model"]]
        assert found["engine"] == "sim"
        log = Path(found["log"])
        assert log.is_file()
        below = psutil.Process(process.pid).children(recursive=True)
        assert below
        process.send_signal(number)
        assert process.wait(WAIT_S) == 0
    assert not log.parent.exists()
    _, alive = psutil.wait_procs(below, timeout=WAIT_S)
    assert alive == []
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{found['url']}/models", timeout=WAIT_S)


def test_a_background_job_is_not_ended_by_its_script_s_ctrl_c(tmp_path: Path) -> None:
    with engine(tmp_path, before=ignore_interrupts) as process:
        found = standing(process)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        with urllib.request.urlopen(f"{found['url']}/models", timeout=WAIT_S) as reply:
            assert reply.status == 200
        process.terminate()
        assert process.wait(WAIT_S) == 0


def test_a_folder_of_ones_own_keeps_the_log_and_the_port_is_that_asked_for(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with engine(tmp_path, "--logs", "logs", "--port", str(port)) as process:
        found = standing(process)
        assert found["url"] == f"http://127.0.0.1:{port}/v1"
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0
    assert (tmp_path / "logs" / "sim.log").is_file()


def test_an_engine_that_ends_by_itself_is_told_and_its_log_stays(tmp_path: Path) -> None:
    with engine(tmp_path) as process:
        found = standing(process)
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        assert process.wait(WAIT_S) == 4
        assert process.stderr is not None
        assert "error: " in process.stderr.read()
    assert Path(found["log"]).is_file()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "which engine?"),
        (["vlm"], 2, "did you mean 'vllm'?"),
        (["remote"], 2, "runs already"),
        (["sim", "--set", "nope=1"], 2, "unknown engine option 'nope'"),
        (["sim", "--port", "0"], 2, "--port 0: must be a whole number from 1"),
        (["sim", "--logs", "file"], 2, "file is a file"),
        (["sim", "--port", "TAKEN"], 3, "choose another --port"),
    ],
)
def test_wrong_input_is_told_before_anything_is_started(
    cli: Cli, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    (tmp_path / "file").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = cli("engines", "start", *[port if word == "TAKEN" else word for word in words])
    assert run.returncode == code
    assert said in run.stderr
    assert run.stdout == ""
    assert not list((tmp_path / "cache").glob("llmops/logs/engine-*"))
