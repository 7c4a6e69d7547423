"""Shared fixtures. Slow tests use one cached demo model; nothing writes outside temporary
folders.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from llmops_cli.runtime.server import free_port

Cli = Callable[..., subprocess.CompletedProcess[str]]

# Several test processes share the cores: numpy's threads would spin for one another's, which
# takes five times the time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Engines' OpenMP threads likewise: two of them in company took thirty times the time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The laws are about values. Hypothesis' own 200 ms an example is wall time, which another process
# may take.
settings.register_profile("in company", deadline=timedelta(seconds=5))
settings.load_profile("in company")

TOGETHER = re.compile(
    r"(test_demo\.py|test_quantize\.py|test_workers\.py|test_engines\.py::\w*adapter"
    r"|test_train_exact\.py|test_train_faults\.py|test_mix\.py|test_sizing_allocated\.py|test_serve_matrix\.py"
    r"|test_zoo\.py|test_serve_operations\.py::test_(?:hostile|odd))"
)
"""Tests that share what takes long to make: one process runs all of a kind."""

LONGEST_FIRST = (
    "test_demo.py",  # trains the demo where the cache has none: whoever else needs it would wait
    "test_train_exact.py",
    "test_quantize.py",
    "test_train_kills.py",
    "test_train_command.py",
    "test_engines.py",
    "test_workers.py",
    "test_train_launch.py",
    "test_sizing_allocated.py",
    "test_report.py",
    "test_serve_soak.py",
    "test_env.py",
    "test_embeddings.py",
    "test_train_faults.py",
    "tests/integration/",
)
"""In this order, so that no process is left with a long one when the others have nothing to do."""


def begins_at(scope: str) -> int:
    """Its place in that order; unit tests come last."""
    for place, name in enumerate(LONGEST_FIRST):
        if name in scope:
            return place
    return len(LONGEST_FIRST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """The marks of --dist loadgroup go unseen with pytest 9.2 (xdist 3.8 renames a node that has no
    such name any more), so what belongs together is told by name.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        is_ordered = False

        def _split_scope(self, nodeid: str) -> str:
            found = TOGETHER.search(nodeid)
            return found[1] if found else nodeid

        def _assign_work_unit(self, node: object) -> None:
            """When it is called first, all units are there, those of most tests first."""
            if not self.is_ordered:
                units = sorted(self.workqueue.items(), key=lambda unit: begins_at(unit[0]))
                self.workqueue = OrderedDict(units)
                self.is_ordered = True
            super()._assign_work_unit(node)

    return Together(config, log) if config.getvalue("dist") == "loadgroup" else None


IS_THOROUGH = os.environ.get("THOROUGH") == "1"
"""`make thorough`: variants too of what other tests show already."""
QUIET_TRIES = 3
"""A machine's hiccup only ever adds to a time, so the least of some tries is compared."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("quiet") is not None:
            item.add_marker(pytest.mark.flaky(reruns=QUIET_TRIES - 1))
    if not IS_THOROUGH:
        variants = [item for item in items if item.get_closest_marker("thorough") is not None]
        config.hook.pytest_deselected(items=variants)
        items[:] = [item for item in items if item not in set(variants)]


def unmeasured(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables without those of coverage: it doubles the time of what other tests measure."""
    return {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}


IMPORTS = Path(tempfile.gettempdir()) / f"llmops-tests-{os.getuid()}" / "imports"
"""What Pythons can import, by the state of their files: 10 CPU seconds for torch and its like."""


def empty_cache(folder: Path) -> Path:
    """A cache in which nothing is known but what Pythons can import."""
    own = folder / "llmops"
    own.mkdir(parents=True, exist_ok=True)
    IMPORTS.mkdir(parents=True, exist_ok=True)
    link = own / "imports"
    if not link.is_symlink():
        link.symlink_to(IMPORTS)
    return folder


WIDE = {"COLUMNS": "300"}
"""Of a terminal in which no table lets a column go."""


def llmops_in(
    folder: Path,
    *,
    default_timeout_s: float,
    **environment: str,
) -> Cli:
    """Runs `llmops` there, with these variables beside those of the tests."""

    def run(
        *args: str, env: dict[str, str] | None = None, timeout_s: float = default_timeout_s
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "llmops_cli", *args],
            cwd=folder,
            env={**os.environ, "COLUMNS": "100", **environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


def fresh_cli(folder: Path) -> Cli:
    """Runs `llmops` in an empty folder with an empty cache, as a user would."""
    return llmops_in(
        folder,
        default_timeout_s=300,
        XDG_CACHE_HOME=str(empty_cache(folder / "cache")),
        XDG_CONFIG_HOME=str(folder / "config"),
    )


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return fresh_cli(tmp_path)


@pytest.fixture(scope="session")
def shared_cache() -> Path:
    """A cache that survives between test runs, so the demo model is trained once per checkout and
    machine.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base)


@pytest.fixture
def demo_cli(tmp_path: Path, shared_cache: Path) -> Cli:
    """Runs `llmops` in an empty folder with the shared cache, where the demo model lives."""
    return llmops_in(tmp_path, default_timeout_s=900, XDG_CACHE_HOME=str(shared_cache))


class Answer(NamedTuple):
    """A line of the mock server's log; times are its monotonic nanoseconds."""

    received_ns: int
    first_ns: int
    last_ns: int
    tokens: int
    ending: str
    request_id: str


class Mock:
    """benchmarks/mockllm.c: exact delays, and a log of what it really did."""

    def __init__(self, argv: list[str], log: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        self._process = subprocess.Popen([*argv, "--port", str(port), "--log", str(log), "--quiet"])
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("the mock server does not answer")

    def stop(self) -> list[Answer]:
        """Ends it; what it answered to requests of a measured level."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
        rows = [line.split() for line in self._log.read_text().splitlines()]
        answers = [
            Answer(int(r[1]), int(r[2]), int(r[3]), int(r[4]), r[5], r[8])
            for r in rows
            if len(r) > 8
        ]
        return [answer for answer in answers if answer.request_id.startswith("llmops-0")]


@pytest.fixture(scope="session")
def mock_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("mock") / "mockllm"
    source = Path(__file__).parent.parent / "benchmarks" / "mockllm.c"
    subprocess.run(["cc", "-O2", "-o", str(binary), str(source)], check=True)
    return binary


@pytest.fixture
def mock(mock_binary: Path, tmp_path: Path) -> Iterator[Callable[..., Mock]]:
    """Starts mock servers with the options of mockllm --help."""
    running: list[Mock] = []

    def start(*options: str, port: int | None = None) -> Mock:
        port = port or free_port()
        running.append(Mock([str(mock_binary), *options], tmp_path / f"mock-{port}.log", port))
        return running[-1]

    yield start
    for server in running:
        server.stop()
