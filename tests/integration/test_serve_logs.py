"""What a gateway's processes say, and by which digests they name what is served."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmops_cli.runtime.paths import WORKERS
from tests.gateway import CHAT, Gateway, Starter, Upstream

pytestmark = pytest.mark.timeout(120)

FIELDS = {"at", "level", "logger", "process", "message"}
INFO = re.compile(r"llmops_gateway_(\w+)_info\{(.*)\} 1\.0")
LABEL = re.compile(r'(\w+)="([^"]*)"')


def text_with(upstream: Upstream, model: str) -> str:
    pool = "{pool: [{upstream: one, model: m}]}"
    return f"upstreams: {{one: {{url: '{upstream.url}'}}}}\nmodels: {{{model}: {pool}}}\n"


def until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def told(text: str) -> list[dict[str, Any]]:
    """Every line is an object of the same form."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines
    assert all(line.keys() >= FIELDS for line in lines)
    return lines


def test_all_that_its_processes_say_is_json(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(text_with(upstream, "a"), "--workers", "2", "--log-format", "json")
    start.file.write_text("upstreams: nothing\n")
    until(lambda: "stays as it was" in start.log())
    worker = psutil.Process(gateway.process.pid).children()[0]
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: "takes its place" in start.log())
    gateway.process.send_signal(signal.SIGTERM)
    gateway.process.wait(20)
    lines = told(start.log())
    said = {(line["level"], line["logger"]) for line in lines}
    assert said >= {("info", "llmops"), ("error", "llmops.gateway")}
    assert len({line["process"] for line in lines}) >= 2


def test_what_ends_a_command_is_json_too(tmp_path: Path) -> None:
    env = {**os.environ, "LLMOPS_LOG_FORMAT": "json", "LLMOPS_STATE_DIR": str(tmp_path)}
    argv = [sys.executable, "-m", "llmops_cli", "serve", "--config", str(tmp_path / "none.yaml")]
    run = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    (line,) = told(run.stderr)
    assert run.returncode == 2
    assert line["level"] == "error"
    assert "none.yaml" in line["message"]


@pytest.mark.parametrize("words", [["--port", "{taken}"], ["--no-such-flag"]])
def test_an_engine_says_json_to_its_end(words: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        argv = [sys.executable, str(WORKERS), "sim.server"]
        argv += [word.format(taken=port) for word in words]
        env = {**os.environ, "LLMOPS_LOG_FORMAT": "json"}
        run = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    last = told(run.stderr)[-1]
    assert last["logger"] == "sim.server"
    if "--port" in words:
        assert last["level"] == "critical"
        assert "OSError" in last["exception"]


def infos(gateway: Gateway, admin: str) -> list[tuple[str, dict[str, str]]]:
    text = gateway.ask(None, path="/metrics", key=admin)[2].decode()
    return [(name, dict(LABEL.findall(labels))) for name, labels in INFO.findall(text)]


def digests(gateway: Gateway, admin: str) -> dict[str, list[str]]:
    """By what they are of."""
    found: dict[str, list[str]] = {"build": [], "config": [], "model": []}
    for name, labels in infos(gateway, admin):
        found[name].append(labels["digest" if name == "model" else name])
    return found


@pytest.mark.parametrize("workers", ["1", "2"])
def test_lines_and_metrics_name_build_configuration_and_model(
    workers: str, upstream: Upstream, start: Starter
) -> None:
    upstream.listed = {"m": {"digest": "0123456789ab"}, "other": {"digest": "no digest"}}
    gateway = start.config(text_with(upstream, "a"), "--workers", workers)
    admin = start.key("ops", "--role", "admin")
    until(lambda: all(digests(gateway, admin)["model"] for _ in range(8)))
    gateway.ask({**CHAT, "model": "a"})
    line = gateway.audited()[-1]
    first = digests(gateway, admin)
    named = {"build": [line["build"]], "config": [line["config"]], "model": [line["model_digest"]]}
    assert first == named
    assert named["model"] == ["0123456789ab"]
    status = json.loads(gateway.ask(None, path="/admin/deployments", key=admin)[2])
    assert status["config"] == line["config"]

    start.file.write_text(text_with(upstream, "b"))
    until(lambda: all(digests(gateway, admin)["config"] != first["config"] for _ in range(8)))
    gateway.ask({**CHAT, "model": "b"})
    line = gateway.audited(2)[-1]
    assert digests(gateway, admin)["config"] == [line["config"]]
    assert line["config"] != first["config"]
    refused = gateway.ask({**CHAT, "model": "nobody"})
    assert refused[0] == 404
    line = gateway.audited(3)[-1]
    assert line["build"]
    assert line["config"]
    assert "model_digest" not in line
