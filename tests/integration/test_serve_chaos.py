"""What breaks behind, beside and inside a gateway, and what its clients notice. The engines are
`sim`, with faults.

Of each fault: every request ends in time, with its answer or with an error that says what happened;
a pool with a healthy upstream answers as if nothing were; and other models' traffic is as quick as
before.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.runtime.paths import WORKERS
from tests.gateway import Gateway, Starter, free_port
from tests.raw import Asked, RawUpstream, whole

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SCRIPTED = (
    "fail",
    "error",
    "busy",
    "silent",
    "slow-headers",
    "wrong-length",
    "stall",
    "reset",
    "half",
    "malformed",
)
FAULTS = (*SCRIPTED, "refuse", "frozen", "killed")
BEGUN = ("stall", "reset", "half", "malformed", "killed")
"""A stream has begun before these happen, so that nobody can take over."""
LONGEST_S = 6.0
TIMEOUTS = "timeouts: {connect_s: 1, first_byte_s: 1, between_s: 1, total_s: 5}"


class Sims:
    """Simulated engines, by name."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}

    def start(self, name: str, *args: str) -> None:
        port = self.ports.setdefault(name, free_port())
        argv = [
            sys.executable,
            str(WORKERS),
            "sim.server",
            "--port",
            str(port),
            "--ttft-ms",
            "20",
            "--itl-ms",
            "5",
        ]
        self.running[name] = subprocess.Popen([*argv, *args], stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


@pytest.fixture
def sims() -> Iterator[Sims]:
    found = Sims()
    yield found
    found.stop()


def config_of(sims: Sims, faults: tuple[str, ...], more: str = "") -> str:
    lines = ["upstreams:"]
    for name, port in sims.ports.items():
        lines.append(f"  {name}: {{url: 'http://127.0.0.1:{port}/v1', {TIMEOUTS}}}")
    lines.append("models:\n  good: {pool: [healthy]}")
    for fault in faults:
        lines.append(
            f"  only-{fault}: {{pool: [{fault}]}}\n  pair-{fault}: {{pool: [{fault}, healthy]}}"
        )
    return "\n".join(lines) + "\n" + more


def body(model: str, *, stream: bool, tokens: int = 6) -> dict[str, Any]:
    return {
        "model": model,
        "stream": stream,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": "Hi"}],
    }


Outcome = tuple[int, bytes, float]


def ask(gateway: Gateway, model: str, *, stream: bool, tokens: int = 6) -> Outcome:
    begun = time.monotonic()
    try:
        status, _, said = gateway.ask(body(model, stream=stream, tokens=tokens))
    except (OSError, http.client.HTTPException) as error:
        status = 0
        said = repr(error).encode()
    return status, said, time.monotonic() - begun


def is_answer(outcome: Outcome, *, stream: bool) -> bool:
    status, said, _ = outcome
    if status != 200:
        return False
    return (
        said.endswith(b"data: [DONE]\n\n") and b'"error"' not in said
        if stream
        else b"token" in said
    )


def is_clear_error(outcome: Outcome) -> bool:
    """A status with a message, or a stream whose last event is one."""
    status, said, _ = outcome
    try:
        text = said.strip().rpartition(b"data: ")[2] if status == 200 else said
        message = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return status == 429  # an upstream's own words are passed on
    return bool(message)


class Healthy:
    """Traffic to another model, all the time. `times` are whole requests, in seconds."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._stop = threading.Event()
        self.times: list[float] = []
        self.failed: list[Outcome] = []
        self._threads = [threading.Thread(target=self._run, args=(i % 2 == 0,)) for i in range(4)]
        for thread in self._threads:
            thread.start()

    def _run(self, stream: bool) -> None:
        while not self._stop.is_set():
            outcome = ask(self._gateway, "good", stream=stream)
            self.times.append(outcome[2])
            if not is_answer(outcome, stream=stream):
                self.failed.append(outcome)
            time.sleep(0.01)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


@pytest.mark.quiet
def test_thirteen_faults_of_upstreams(
    sims: Sims, start: Starter, capsys: pytest.CaptureFixture[str]
) -> None:
    sims.start("healthy")
    for fault in SCRIPTED:
        sims.start(fault, f"--{fault}-every", "1")
    sims.start("frozen")
    sims.start("killed")
    sims.ports["refuse"] = free_port()
    gateway = start.config(config_of(sims, FAULTS))
    time.sleep(1.5)
    healthy = Healthy(gateway)
    try:
        time.sleep(4)
        before = list(healthy.times)
        rows = []
        sims.running["frozen"].send_signal(signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            for fault in FAULTS:
                at = len(healthy.times)
                rows.append(
                    (fault, *_suffer(gateway, sims, fault, pool), p99(healthy.times[at:] or [0.0]))
                )
    finally:
        healthy.close()
        sims.running["frozen"].send_signal(signal.SIGCONT)
    during = healthy.times[len(before) :]
    with capsys.disabled():
        print(
            f"\nhealthy traffic, p99: {p99(before) * 1e3:.0f} ms before, "
            f"{p99(during) * 1e3:.0f} ms during all faults"
        )
        for fault, answers, errors, longest_s, own in rows:
            print(
                f"  {fault:13} alone: {errors:2} clear errors, {answers:2} answers, "
                f"longest {longest_s:.1f} s; "
                f"healthy p99 {own * 1e3:.0f} ms"
            )
    assert healthy.failed == []
    assert p99(during) < p99(before) + 0.25


def _suffer(
    gateway: Gateway, sims: Sims, fault: str, pool: concurrent.futures.ThreadPoolExecutor
) -> tuple[int, int, float]:
    """(answers, clear errors, the longest wait) of the faulty one alone; with a healthy one beside
    it all is well.
    """
    tokens = 400 if fault == "killed" else 6
    alone = [
        (stream, pool.submit(ask, gateway, f"only-{fault}", stream=stream, tokens=tokens))
        for stream in (True, False) * 4
    ]
    if fault == "killed":
        time.sleep(0.4)
        sims.running["killed"].kill()
    pairs = [
        (stream, pool.submit(ask, gateway, f"pair-{fault}", stream=stream))
        for stream in (True, False) * 4
    ]
    answers = errors = 0
    longest_s = 0.0
    for stream, future in alone:
        outcome = future.result(timeout=30)
        longest_s = max(longest_s, outcome[2])
        if is_answer(outcome, stream=stream):
            answers += 1
        else:
            assert is_clear_error(outcome), (fault, stream, outcome[0], outcome[1][-300:])
            errors += 1
    assert longest_s < LONGEST_S, fault
    assert errors > 0, f"{fault} was not noticed"
    for stream, future in pairs:
        outcome = future.result(timeout=30)
        assert outcome[2] < LONGEST_S, fault
        ok = is_answer(outcome, stream=stream) or (
            stream and fault in BEGUN and is_clear_error(outcome)
        )
        assert ok, (fault, stream, outcome[0], outcome[1][-300:])
    return answers, errors, longest_s


CANARY = "canary: {use: [CANARY], steps: [50, 100], step_s: 1, requests: 20}"
REFUSED = (400, 401, 403, 404, 422)
BAD_CANARIES = ("fail", "error", "busy", "reset", "half", "malformed")


@pytest.mark.quiet
def test_no_bad_canary_is_promoted(sims: Sims, start: Starter) -> None:
    """Each model has a canary with a fault of its own, all under load, half of it streamed."""
    sims.start("healthy")
    for fault in BAD_CANARIES:
        sims.start(fault, f"--{fault}-every", "1")
    raws = {f"refuses-{status}": RawUpstream(_refusing(status)) for status in REFUSED}
    text = config_of(sims, ()).replace(
        "models:\n", "".join(map(_upstream, raws.items())) + "models:\n", 1
    )
    for name in (*BAD_CANARIES, *raws):
        text += f"  with-{name}: {{pool: [healthy], {CANARY.replace('CANARY', name)}}}\n"
    admin = start.key("adm", "--role", "admin")
    gateway = start.config(text)
    time.sleep(1.5)
    models = [f"with-{name}" for name in (*BAD_CANARIES, *raws)]
    outcomes: list[tuple[str, bool, Outcome]] = []
    states: dict[str, Any] = {}
    running = set(models)
    for _ in range(8):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            work = [(model, i % 2 == 0) for model in models for i in range(24)]
            asked = [(m, s, pool.submit(ask, gateway, m, stream=s)) for m, s in work]
            outcomes += [(model, stream, each.result()) for model, stream, each in asked]
        states = json.loads(gateway.ask(None, path="/admin/state", key=admin)[2])["canaries"]
        assert "done" not in {state["state"] for state in states.values()}, states
        running = {name for name, state in states.items() if state["state"] == "running"}
        if running <= {"with-busy"}:
            break
    for raw in raws.values():
        raw.close()
    assert running <= {"with-busy"}, "one that asks for rest is asked seldom"
    assert set(states) == set(models)
    for model, stream, outcome in outcomes:
        is_begun = stream and model.removeprefix("with-") in BEGUN
        assert is_answer(outcome, stream=stream) or (is_begun and is_clear_error(outcome)), (
            model,
            outcome,
        )


def _refusing(status: int) -> Callable[[Asked], list[bytes]]:
    return lambda asked: [whole({"error": {"message": "no"}}, status=status)]


def _upstream(named: tuple[str, RawUpstream]) -> str:
    name, raw = named
    return f"  {name}: {{url: '{raw.url}'}}\n"


def test_a_worker_that_freezes_or_dies_harms_only_its_own(sims: Sims, start: Starter) -> None:
    import psutil

    sims.start("healthy")
    gateway = start.config(config_of(sims, ()), "--workers", "2")
    time.sleep(1.5)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        asked = [
            (i % 2 == 0, pool.submit(ask, gateway, "good", stream=i % 2 == 0, tokens=100))
            for i in range(16)
        ]
        time.sleep(0.3)
        psutil.Process(gateway.process.pid).children()[0].kill()
        outcomes = [(stream, future.result()) for stream, future in asked]
    whole = sum(is_answer(outcome, stream=stream) for stream, outcome in outcomes)
    assert whole >= 1
    for stream, outcome in outcomes:
        assert outcome[2] < LONGEST_S
        assert is_answer(outcome, stream=stream) or outcome[0] == 0, (
            "the connection of a dead process ends"
        )
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        again = list(pool.map(lambda i: ask(gateway, "good", stream=i % 2 == 0), range(24)))
    assert all(is_answer(outcome, stream=i % 2 == 0) for i, outcome in enumerate(again))


def test_a_full_disk_costs_lines_and_no_requests(
    sims: Sims, start: Starter, tmp_path: Path
) -> None:
    """The audit log may not grow beyond a size, as on a disk that is full; the gateway says how
    many lines it lost.
    """
    sims.start("healthy")
    secret = start.key("k")
    admin = start.key("adm", "--role", "admin")
    port = free_port()
    file = tmp_path / "gateway.yaml"
    file.write_text(config_of(sims, ()))
    start.state.mkdir(exist_ok=True)
    (start.state / "audit.jsonl").write_bytes(b"x" * 8_000_000 + b"\n")

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_002_000, 8_002_000))

    argv = [sys.executable, "-m", "llmops_cli", "serve", "--config", str(file), "--port", str(port)]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(argv, env=start.env, stderr=log, preexec_fn=limited)  # noqa: PLW1509
    try:
        gateway = Gateway(f"http://127.0.0.1:{port}", start.state, secret, process)
        for _ in range(100):
            with contextlib.suppress(OSError):
                if gateway.ask(None, path="/ready")[0] == 200:
                    break
            time.sleep(0.1)
        for i in range(40):
            assert is_answer(ask(gateway, "good", stream=i % 2 == 0), stream=i % 2 == 0)
        state = json.loads(gateway.ask(None, path="/admin/state", key=admin)[2])
        assert state["audit_lost"] > 10
        assert state["models"]["good"]["requests"] == 40
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def test_an_engine_of_ours_that_dies_is_started_again(tmp_path: Path, start: Starter) -> None:
    """`llmops serve` with replicas: one is killed with -9, requests go on, and it comes back at the
    same address.
    """
    import psutil

    secret = start.key("k")
    port = free_port()
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "serve",
        "--backend",
        "sim",
        "--replicas",
        "2",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(argv, env=start.env, stderr=subprocess.DEVNULL)
    try:
        gateway = Gateway(f"http://127.0.0.1:{port}", start.state, secret, process)
        ready: Callable[[], bool] = lambda: gateway.ask(None, path="/ready")[0] == 200
        for _ in range(200):
            with contextlib.suppress(OSError):
                if ready():
                    break
            time.sleep(0.1)
        engines = _engines(process.pid)
        assert len(engines) == 2
        codes = []
        for i in range(60):
            if i == 10:
                engines[0].kill()
            codes.append(ask(gateway, "sim", stream=False)[0])
        assert codes == [200] * 60
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = _engines(process.pid)
            if len(found) == 2:
                break
            time.sleep(0.2)
        assert len(found) == 2
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert not [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def _engines(pid: int) -> list[Any]:
    import psutil

    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if "sim.server" in line and "guard.py" not in line:
                found.append(process)
    return found
