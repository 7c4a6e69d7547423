"""One version of the file for all workers, whoever is killed and whatever the file holds then."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.gateway import CHAT, Gateway, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

POLICY = "input: {{blocklist: {{action: block, words: ['{word}']}}}}\n"


def text_with(upstream: Upstream, more: str = "") -> str:
    return f"upstreams: {{one: {{url: '{upstream.url}'}}}}\n{more}"


def models(gateway: Gateway) -> list[set[str]]:
    """What some twenty connections, and so all workers, are told."""
    found = []
    for _ in range(20):
        listed = json.loads(gateway.ask(None, path="/v1/models")[2])
        found.append({model["id"] for model in listed["data"]})
    return found


def workers(gateway: Gateway) -> list[psutil.Process]:
    return psutil.Process(gateway.process.pid).children()


def kill_one(gateway: Gateway) -> None:
    """Until another has taken its place."""
    before = {process.pid for process in workers(gateway)}
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len({process.pid for process in workers(gateway)} - before) == 1)
    time.sleep(2.5)


def until(is_so: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def state(gateway: Gateway, admin: str) -> Any:  # Any: JSON
    return json.loads(gateway.ask(None, path="/admin/state", key=admin)[2])


def test_who_replaces_a_killed_worker_serves_what_the_others_do(
    upstream: Upstream, start: Starter
) -> None:
    gateway = start.config(text_with(upstream, "models: {a: {pool: [one]}}\n"), "--workers", "3")
    admin = start.key("ops", "--role", "admin")
    assert set(map(frozenset, models(gateway))) == {frozenset({"a"})}
    start.file.write_text(text_with(upstream, "models: {b: {pool: [one]}}\n"))
    until(lambda: all(found == {"b"} for found in models(gateway)))
    read_once = start.log().count("was read anew")
    kill_one(gateway)
    until(lambda: len(state(gateway, admin)["workers"]) == 3)
    assert all(found == {"b"} for found in models(gateway))
    shown = state(gateway, admin)
    assert shown["config_ok"] is True
    assert len(set(shown["workers"].values())) == 1
    assert start.log().count("was read anew") == read_once == 1, "one reads it for all"

    start.file.write_text("upstreams: nothing\n")
    until(lambda: state(gateway, admin)["config_ok"] is False)
    kill_one(gateway)
    assert all(found == {"b"} for found in models(gateway)), "the last that was good"
    shown = state(gateway, admin)
    assert shown["config_ok"] is False
    assert len(set(shown["workers"].values())) == 1
    assert start.log().count("stays as it was") == 1

    start.file.write_text(text_with(upstream, "models: {c: {pool: [one]}}\n"))
    until(lambda: all(found == {"c"} for found in models(gateway)))
    assert state(gateway, admin)["config_ok"] is True
    text = gateway.ask(None, path="/metrics", key=admin)[2].decode()
    versions = [line for line in text.splitlines() if "config_version{worker=" in line]
    assert len(versions) == 3
    assert len({line.rpartition(" ")[2] for line in versions}) == 1


def test_a_file_is_read_when_its_writer_has_ended(upstream: Upstream, start: Starter) -> None:
    """What is there so far may be good, and lack the guard that stands at its end."""
    gateway = start.config(text_with(upstream, "models: {a: {pool: [one]}}\n"))

    def listed() -> set[str]:
        found = json.loads(gateway.ask(None, path="/v1/models")[2])
        return {model["id"] for model in found["data"]}

    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        start.file.write_text(text_with(upstream, "models: {b: {pool: [one]}}\n"))
        time.sleep(0.02)
    assert listed() == {"a"}
    start.file.write_text(text_with(upstream, "models: {c: {pool: [one]}}\n"))
    until(lambda: listed() == {"c"})
    assert start.log().count("was read anew") == 1


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """What is started hears it: tests that run in the background hand on that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_says_no_more_than_the_first(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(text_with(upstream))
    for _ in range(2):
        gateway.process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert gateway.process.wait(15) == 0
    assert "Traceback" not in start.log()


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("ending", ["a second Ctrl-C", "time runs out"])
def test_what_is_cut_off_at_the_end_has_its_line_in_the_audit(
    upstream: Upstream, start: Starter, ending: str
) -> None:
    upstream.delay_s = 0.2
    upstream.words = ["word"] * 100
    gateway = start.config(text_with(upstream, "limits: {drain_s: 1}\n"))
    with ThreadPoolExecutor(6) as pool:
        for _ in range(6):
            pool.submit(gateway.ask, {**CHAT, "stream": True})
        until(lambda: len(upstream.seen) == 6)
        gateway.process.send_signal(signal.SIGINT)
        if ending == "a second Ctrl-C":
            time.sleep(0.5)
            gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(15) == 0
    lines = (gateway.state / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["ended"] for line in lines] == ["broken"] * 6
    assert "Traceback" not in start.log()


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("processes", ["1", "2"])
def test_in_a_script_s_background_it_hears_no_ctrl_c(
    processes: str, upstream: Upstream, start: Starter
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gateway = start.config(text_with(upstream), "--workers", processes)
    for process in (gateway.process, *workers(gateway)):
        process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        gateway.process.wait(1)
    assert gateway.ask(None, path="/health")[0] == 200
    gateway.process.terminate()
    assert gateway.process.wait(15) == 0


def test_signals_and_a_kill_in_the_middle_of_a_start(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(text_with(upstream, "models: {a: {pool: [one]}}\n"), "--workers", "2")
    admin = start.key("ops", "--role", "admin")
    for number in range(3):
        until(lambda: len(workers(gateway)) == 2)
        start.file.write_text(text_with(upstream, f"models: {{m{number}: {{pool: [one]}}}}\n"))
        victim = workers(gateway)[0].pid
        os.kill(victim, signal.SIGKILL)
        for _ in range(15):  # of them some meet a worker that has just begun
            gateway.process.send_signal(signal.SIGHUP)
            time.sleep(0.1)
    until(lambda: all(found == {"m2"} for found in models(gateway)), 30)
    until(lambda: len(set(state(gateway, admin)["workers"].values())) == 1)
    assert "(-1)" not in start.log(), "no worker ended by the signal to read the file"


def test_a_policy_that_is_broken_by_now_is_the_one_of_before(
    upstream: Upstream, start: Starter
) -> None:
    policy = start.folder / "policy.yaml"
    policy.write_text(POLICY.format(word="xyzzy"))
    gateway = start.config(text_with(upstream, "guard: policy.yaml\n"), "--workers", "2")
    asked = {**CHAT, "messages": [{"role": "user", "content": "say xyzzy"}]}
    assert gateway.ask(asked)[0] == 400
    policy.write_text("input: [")
    kill_one(gateway)
    assert [gateway.ask(asked)[0] for _ in range(10)] == [400] * 10
    policy.write_text(POLICY.format(word="other"))
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: [gateway.ask(asked)[0] for _ in range(10)] == [200] * 10)
    assert start.log().count("was read anew") == 1, "a signal is one wish"


def test_a_file_that_changes_while_the_gateway_starts_is_read(
    upstream: Upstream, start: Starter
) -> None:
    """One worker: there is no parent to hold the version."""
    gateway = start.config(text_with(upstream, "models: {a: {pool: [one]}}\n"))
    start.file.write_text(text_with(upstream, "models: {b: {pool: [one]}}\n"))
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: models(gateway)[0] == {"b"})
    assert gateway.process.poll() is None


@pytest.mark.quiet
def test_a_large_file_is_read_in_nobody_s_way(upstream: Upstream, start: Starter) -> None:
    lines = [f"  m{number}: {{pool: [one]}}\n" for number in range(200)]
    gateway = start.config(text_with(upstream, "models:\n" + "".join(lines)))
    lines.append("  last: {pool: [one]}\n")
    start.file.write_text(text_with(upstream, "models:\n" + "".join(lines)))
    waited_ms = []
    client = http.client.HTTPConnection(gateway.url.removeprefix("http://"))
    while "read anew" not in start.log():
        begin = time.perf_counter()
        client.request("GET", "/health")
        client.getresponse().read()
        waited_ms.append((time.perf_counter() - begin) * 1e3)
        time.sleep(0.002)
    client.close()
    print(f"longest wait of /health: {max(waited_ms):.1f} ms of {len(waited_ms)}")
    assert max(waited_ms) < 100
