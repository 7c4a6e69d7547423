"""An engine that is told to end goes on with the answers under way, and takes no new ones."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from llmops_cli.core.progress import Silent
from llmops_cli.models.find import find_model
from llmops_cli.runtime.paths import WORKERS
from tests.conftest import Cli

WAIT_S = 120
SERVERS = {
    "llamacpp": ("llamacpp.server", "--ctx", "512"),
    "transformers": ("hf.server", "--max-num-seqs", "4"),
}
QUESTION = {
    "model": "demo",
    "messages": [{"role": "user", "content": "Say the alphabet."}],
    "max_tokens": 480,
    "ignore_eos": True,
    "stream": True,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def model_of(engine: str, demo_cli: Cli, folder: Path) -> Path:
    if engine == "llamacpp":
        made = demo_cli("convert", "demo", "--to", "gguf", "-o", "demo.gguf", "--no-check")
        assert made.returncode == 0, made.stderr
        return folder / "demo.gguf"
    path = find_model("demo", progress=Silent()).path
    assert path is not None
    return Path(path)


@contextmanager
def server(
    engine: str, model: Path, *, drain_s: int
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    program, *options = SERVERS[engine]
    argv = [sys.executable, str(WORKERS), program, "--model", str(model), "--name", "demo"]
    argv += ["--port", str(port), "--drain-s", str(drain_s), *options]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        until_s = time.monotonic() + WAIT_S
        while not answers(port):
            assert process.poll() is None
            assert time.monotonic() < until_s
            time.sleep(0.1)
        yield port, process
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def asked(port: int) -> Iterator[http.client.HTTPResponse]:
    """A stream, of which the first line has come."""
    headers = {"Content-Type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(QUESTION), headers)
        with connection.getresponse() as response:
            assert response.status == 200
            assert response.readline().startswith(b"data: ")
            yield response


@pytest.mark.parametrize("engine", SERVERS)
def test_told_to_end_it_ends_its_streams_first_and_takes_no_others(
    engine: str, demo_cli: Cli, tmp_path: Path
) -> None:
    model = model_of(engine, demo_cli, tmp_path)
    with server(engine, model, drain_s=WAIT_S) as (port, process), ExitStack() as stack:
        streams = [stack.enter_context(asked(port)) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        until_s = time.monotonic() + WAIT_S
        while answers(port):
            assert time.monotonic() < until_s
        texts = [stream.read().decode() for stream in streams]
        assert process.wait(WAIT_S) in {0, -signal.SIGTERM}
    for text in texts:
        assert text.rstrip().endswith("data: [DONE]")
        assert '"finish_reason":"length"' in text.replace(" ", "")


@pytest.mark.quiet  # the stream must not end by itself meanwhile
@pytest.mark.parametrize("engine", SERVERS)
def test_interrupted_meanwhile_it_ends_at_once(engine: str, demo_cli: Cli, tmp_path: Path) -> None:
    model = model_of(engine, demo_cli, tmp_path)
    with server(engine, model, drain_s=WAIT_S) as (port, process), asked(port) as stream:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(WAIT_S)
        try:
            text = stream.read()
        except (OSError, http.client.HTTPException):
            text = b""
    assert b"[DONE]" not in text
