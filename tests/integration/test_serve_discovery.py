"""Members that come and go behind a name server or a file, while streams are under way."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Gateway, Starter, Upstream, free_port
from tests.name_server import NameServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

NAME = "engines.test"
STREAMS = 64
TTL_S = 1.0


@pytest.fixture
def names() -> Iterator[NameServer]:
    found = NameServer()
    yield found
    found.close()


@pytest.fixture
def engines() -> Iterator[list[Upstream]]:
    """Three at one port, as the pods of a Service are."""
    made = at_one_port()
    yield made
    for each in made:
        each.close()


def at_one_port() -> list[Upstream]:
    for _ in range(20):
        port = free_port()
        made = []
        try:
            for number in (1, 2, 3):
                made.append(Upstream(port, host=f"127.0.0.{number}"))
        except OSError:
            for each in made:
                each.close()
        else:
            return made
    raise AssertionError("no port is free on three addresses")


def by_name(names: NameServer, engines: list[Upstream], *more: str) -> str:
    discover = ", ".join(
        (
            f"dns: '{NAME}:{engines[0].port}'",
            f"resolver: '{names.address}'",
            "networks: [127.0.0.0/8]",
            "path: /v1",
        )
    )
    inner = ", ".join((f"discover: {{{discover}}}", *more))
    return f"upstreams: {{pool: {{{inner}}}}}\nmodels: {{m: {{pool: [pool]}}}}\n"


def say(names: NameServer, *numbers: int) -> None:
    names.say(NAME, "A", [f"127.0.0.{number}" for number in numbers])


def until(is_so: Callable[[], bool], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_ready(gateway: Gateway) -> bool:
    return gateway.ask(None, path="/ready")[0] == 200


def chat(text: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


class Load:
    """So many streams at any time, until it is told to end."""

    def __init__(self, gateway: Gateway, streams: int) -> None:
        self._gateway = gateway
        self.faults: list[object] = []
        self.whole = 0
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(streams)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._ends.is_set():
            try:
                status, _, body = self._gateway.ask(chat(stream=True))
            except OSError as error:
                self.faults.append(error)
                continue
            if status == 200 and b"[DONE]" in body and b'"error"' not in body:
                self.whole += 1
            else:
                self.faults.append((status, body[-300:]))

    def end(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()


def counts(engines: list[Upstream]) -> list[int]:
    return [len(each.seen) for each in engines]


def between(engines: list[Upstream], seconds: float) -> list[int]:
    """What each was asked meanwhile."""
    before = counts(engines)
    time.sleep(seconds)
    return [now - then for now, then in zip(counts(engines), before, strict=True)]


def state(gateway: Gateway, start: Starter) -> dict[str, Any]:
    key = start.key(f"admin{time.monotonic_ns()}", "--role", "admin")
    found: dict[str, Any] = json.loads(gateway.ask(None, path="/admin/state", key=key)[2])
    return found


def members_shown(gateway: Gateway, start: Starter) -> set[str]:
    (row,) = state(gateway, start)["upstreams"]
    return {each["name"] for each in row["members"]}


def test_engines_come_and_go_under_64_streams_and_none_is_lost(
    names: NameServer, engines: list[Upstream], start: Starter
) -> None:
    for each in engines:
        each.delay_s = 0.2
    say(names, 1)
    gateway = start.config(by_name(names, engines))
    until(lambda: is_ready(gateway))
    load = Load(gateway, STREAMS)
    time.sleep(1.5)
    say(names, 1, 2, 3)
    time.sleep(TTL_S + 0.5)
    shares = between(engines, 2.5)
    say(names, 1)
    time.sleep(TTL_S + 0.5)
    left = between(engines, 1.5)
    load.end()
    assert load.faults == []
    assert load.whole > 2 * STREAMS
    total = sum(shares)
    assert all(0.2 < share / total < 0.5 for share in shares), shares
    assert left[0] > 0
    assert left[1:] == [0, 0]
    until(lambda: len(members_shown(gateway, start)) == 1)
    served = Counter(line["member"] for line in gateway.audit() if "member" in line)
    assert {f"http://127.0.0.{number}:{engines[0].port}/v1" for number in (1, 2, 3)} == set(served)
    assert "members now: 3, joined: 2, left: 0" in start.log()
    assert "members now: 1, joined: 0, left: 2" in start.log()


def metrics_of(gateway: Gateway, start: Starter) -> str:
    key = start.key(f"metrics{time.monotonic_ns()}", "--role", "metrics")
    return gateway.ask(None, path="/metrics", key=key)[2].decode()


def test_metrics_have_the_members_of_now_over_all_workers(
    names: NameServer, engines: list[Upstream], start: Starter
) -> None:
    say(names, 1, 2)
    gateway = start.config(by_name(names, engines), "--workers", "2")
    until(lambda: is_ready(gateway))
    for number in range(20):
        assert gateway.ask(chat(str(number)))[0] == 200
    until(lambda: answers(metrics_of(gateway, start)) == 20)
    text = metrics_of(gateway, start)
    assert 'llmops_gateway_members{upstream="pool"} 2.0' in text
    assert 'llmops_gateway_lookup_ok{upstream="pool"} 1.0' in text
    assert text.count("llmops_gateway_member_up{") == 2
    say(names, 3)
    until(lambda: "127.0.0.1" not in metrics_of(gateway, start))
    text = metrics_of(gateway, start)
    assert text.count("llmops_gateway_member_up{") == 1
    assert f'member="http://127.0.0.3:{engines[0].port}/v1",upstream="pool"' in text


def answers(text: str) -> int:
    lines = [line for line in text.splitlines() if "gateway_member_answers_total{" in line]
    return int(sum(float(line.split()[-1]) for line in lines))


def test_a_name_server_that_is_gone_is_no_fault_of_the_members(
    names: NameServer, engines: list[Upstream], start: Starter
) -> None:
    say(names, 1)
    gateway = start.config(by_name(names, engines))
    until(lambda: is_ready(gateway))
    names.mode = "broken"
    until(lambda: "keeps its members (1)" in start.log())
    assert gateway.ask(chat())[0] == 200
    until(lambda: 'lookup_ok{upstream="pool"} 0.0' in metrics_of(gateway, start))


def test_nobody_is_503_and_somebody_is_asked_again(
    names: NameServer, engines: list[Upstream], start: Starter
) -> None:
    gateway = start.config(by_name(names, engines))
    status, headers, body = gateway.ask(chat())
    assert status == 503, body
    assert headers["retry-after"]
    assert gateway.ask(None, path="/ready")[0] == 503
    say(names, 2)
    until(lambda: gateway.ask(chat())[0] == 200)
    names.forget(NAME)
    until(lambda: gateway.ask(chat())[0] == 503)


def test_who_waits_for_a_place_gets_it_from_a_member_that_comes(
    names: NameServer, engines: list[Upstream], start: Starter
) -> None:
    engines[0].prefill_s = 6.0
    say(names, 1)
    gateway = start.config(by_name(names, engines, "max_in_flight: 1"))
    until(lambda: is_ready(gateway))
    first = threading.Thread(target=gateway.ask, args=(chat("first"),))
    first.start()
    until(lambda: len(engines[0].seen) == 1)
    begun = time.monotonic()
    say(names, 1, 2)
    assert gateway.ask(chat("second"))[0] == 200
    assert time.monotonic() - begun < 5.5
    assert len(engines[1].seen) == 1
    first.join()


def test_a_reload_keeps_the_members_and_their_streams(
    names: NameServer, engines: list[Upstream], start: Starter
) -> None:
    engines[0].delay_s = 0.5
    say(names, 1)
    gateway = start.config(by_name(names, engines))
    until(lambda: is_ready(gateway))
    got: list[tuple[int, bytes]] = []

    def ask() -> None:
        status, _, body = gateway.ask(chat(stream=True))
        got.append((status, body))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: len(engines[0].seen) == 1)
    names.mode = "broken"
    start.file.write_text(by_name(names, engines, "max_in_flight: 7"))
    until(lambda: "read anew" in start.log())
    assert gateway.ask(chat())[0] == 200
    thread.join()
    assert got[0][0] == 200
    assert b"[DONE]" in got[0][1]


def test_members_by_a_file_that_is_half_written_and_then_whole(
    engines: list[Upstream], start: Starter, tmp_path: Path
) -> None:
    one, two, _ = engines
    path = tmp_path / "members.json"
    path.write_text(json.dumps([{"targets": [f"127.0.0.1:{one.port}"]}]))
    gateway = start.config(
        "upstreams: {pool: {discover: {file: members.json, path: /v1}}}\n"
        "models: {m: {pool: [pool]}}\n"
    )
    until(lambda: is_ready(gateway))
    assert gateway.ask(chat())[0] == 200
    path.write_text(f'[{{"targets": ["127.0.0.2:{two.port}"')
    until(lambda: "keeps its members (1)" in start.log())
    assert gateway.ask(chat())[0] == 200
    assert two.seen == []
    path.write_text(json.dumps([{"targets": [f"127.0.0.2:{two.port}"]}]))
    until(lambda: gateway.ask(chat())[0] == 200 and len(two.seen) > 0)


def test_a_file_that_kubernetes_mounts_is_followed_through_its_link(
    upstream: Upstream, start: Starter
) -> None:
    """A ConfigMap's file is a link into a folder that is taken away when it changes."""
    mounted = start.folder / "mounted"
    mounted.mkdir()

    def mount(version: str, key: str) -> None:
        folder = mounted / f"..{version}"
        folder.mkdir()
        text = f"upstreams: {{x: {{url: '{upstream.url}', key_file: key}}}}\n"
        (folder / "gateway.yaml").write_text(f"{text}models: {{{version}: {{pool: [x]}}}}\n")
        (folder / "key").write_text(key)
        beside = mounted / "..new"
        beside.symlink_to(folder.name)
        beside.replace(mounted / "..data")

    mount("one", "first-key")
    for name in ("gateway.yaml", "key"):
        (mounted / name).symlink_to(f"..data/{name}")
    gateway = start.mounted(mounted / "gateway.yaml")
    until(lambda: is_ready(gateway))
    mount("two", "second-key")
    shutil.rmtree(mounted / "..one")
    until(lambda: gateway.ask({**chat(), "model": "two"})[0] == 200)
    assert upstream.headers[-1]["Authorization"] == "Bearer second-key"
