"""Who the members of an upstream are, by a name server or a file, and what changes them."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.gateway_file.discovery import DiscoverConfig, is_refused
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.upstreams.discovery.discovery import Discovery, LookupResult
from llmops_cli.serve.upstreams.discovery.found import Found, MemberAddress, MemberSource
from llmops_cli.serve.upstreams.members import Members
from llmops_cli.serve.upstreams.upstream import Upstream
from tests.name_server import NameServer

NAME = "engines.test"
ANYWHERE = ["127.0.0.0/8", "10.0.0.0/8", "::1/128", "fd00::/8"]


@pytest.fixture
def names() -> Iterator[NameServer]:
    found = NameServer()
    yield found
    found.close()


class Seen:
    """What a discovery told, and what it counted."""

    def __init__(self, config: DiscoverConfig, source: MemberSource | None = None) -> None:
        self.discovery = Discovery("x", config, source=source)
        self.told: list[list[str]] = []
        self.results: list[LookupResult] = []
        self.members: list[MemberAddress] = []

    def look(self) -> float:
        return asyncio.run(self.discovery.look(self.tell, self.results.append))

    def tell(self, members: list[MemberAddress]) -> None:
        self.members = list(members)
        self.told.append([each.url for each in members])


def by_name(names: NameServer, **more: object) -> Seen:
    settings = {"dns": f"{NAME}:8000", "resolver": names.address, "networks": ANYWHERE, **more}
    return Seen(DiscoverConfig(**settings))  # type: ignore[arg-type]


def by_file(path: Path, **more: object) -> Seen:
    return Seen(DiscoverConfig(file=str(path), **more))  # type: ignore[arg-type]


# Names.


def test_addresses_of_both_families_are_members(names: NameServer) -> None:
    names.say(NAME, "A", ["10.0.0.2", "10.0.0.1"])
    names.say(NAME, "AAAA", ["fd00::5"])
    names.ttl_s = 7
    seen = by_name(names, path="/v1")
    assert seen.look() == 7
    assert seen.told == [
        ["http://10.0.0.1:8000/v1", "http://10.0.0.2:8000/v1", "http://[fd00::5]:8000/v1"]
    ]
    assert {each.host for each in seen.members} == {NAME}


def test_a_ttl_has_bounds(names: NameServer) -> None:
    names.say(NAME, "A", ["10.0.0.1"])
    names.ttl_s = 86_400
    assert by_name(names).look() == 30
    names.ttl_s = 0
    assert by_name(names).look() == 1


def test_services_have_ports_and_weights_and_the_first_priority_counts(names: NameServer) -> None:
    service = "_http._tcp.engines.test"
    names.say(service, "SRV", ["0 30 9001 a.test.", "0 10 9002 b.test.", "5 9 9003 c.test."])
    for number, name in enumerate("abc", 1):
        names.say(f"{name}.test", "A", [f"10.0.0.{number}"])
    seen = by_name(names, dns=None, srv=service)
    seen.look()
    assert seen.told == [["http://10.0.0.1:9001", "http://10.0.0.2:9002"]]
    assert [each.weight for each in seen.members] == [1.5, 0.5]
    assert [each.host for each in seen.members] == ["a.test", "b.test"]


@pytest.mark.parametrize("mode", ["broken", "garbage"])
def test_a_name_server_that_fails_changes_nothing(names: NameServer, mode: str) -> None:
    names.say(NAME, "A", ["10.0.0.1"])
    seen = by_name(names)
    seen.look()
    names.mode = mode
    seen.look()
    assert seen.told == [["http://10.0.0.1:8000"]]
    assert seen.results == ["fine", "failed"]
    assert not seen.discovery.is_fine
    names.mode = "fine"
    names.say(NAME, "A", ["10.0.0.3"])
    seen.look()
    assert seen.told[1:] == [["http://10.0.0.3:8000"]]
    assert seen.discovery.is_fine


def test_one_family_that_fails_keeps_its_members() -> None:
    found = Found((MemberAddress("http://10.0.0.2:8000"),), 1.0, missing=frozenset({6}))
    seen = Seen(DiscoverConfig(dns=f"{NAME}:8000"), Once(found))
    known = [MemberAddress("http://10.0.0.1:8000"), MemberAddress("http://[fd00::5]:8000")]
    seen.discovery.members = known
    seen.look()
    assert seen.told == [["http://[fd00::5]:8000", "http://10.0.0.2:8000"]]


class Once:
    retry_s = 1.0
    retry_most_s = 8.0

    def __init__(self, found: Found) -> None:
        self.found = found

    async def find(self) -> Found:
        return self.found


@pytest.mark.parametrize("nothing", ["no such name", "no such records"])
def test_nobody_is_believed_the_second_time(names: NameServer, nothing: str) -> None:
    names.say(NAME, "A", ["10.0.0.1"])
    seen = by_name(names)
    seen.look()
    if nothing == "no such name":
        names.forget(NAME)
    else:
        names.say(NAME, "A", [])
    seen.look()
    assert len(seen.told) == 1
    seen.look()
    assert seen.told[1:] == [[]]
    names.say(NAME, "A", ["10.0.0.1"])
    seen.look()
    assert seen.told[2:] == [["http://10.0.0.1:8000"]]


def test_a_flapping_name_server_does_not_empty_it(names: NameServer) -> None:
    names.say(NAME, "A", ["10.0.0.1"])
    seen = by_name(names)
    seen.look()
    for _ in range(3):
        names.forget(NAME)
        seen.look()
        names.say(NAME, "A", ["10.0.0.1"])
        seen.look()
    assert all(told for told in seen.told)


# What a hostile or broken name server says.


@pytest.mark.quiet
def test_thousands_of_members_are_cut_and_those_that_are_known_stay(names: NameServer) -> None:
    names.say(NAME, "A", ["10.9.9.9"])
    seen = by_name(names, most=16)
    seen.look()
    names.say(NAME, "A", [f"10.1.{number >> 8}.{number & 255}" for number in range(3000)])
    names.records[NAME, "A"].append("10.9.9.9")
    longest_s = asyncio.run(longest_pause_s(seen))
    assert longest_s < 0.1, "whoever is served meanwhile does not wait for it"
    assert names.tcp_asked
    assert len(seen.told[-1]) == 16
    assert "http://10.9.9.9:8000" in seen.told[-1]


async def longest_pause_s(seen: Seen) -> float:
    """Of a loop in which somebody else is served, while members are looked up."""
    pauses_s = [0.0]

    async def serve() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            pauses_s.append(time.monotonic() - before)

    serving = asyncio.ensure_future(serve())
    await seen.discovery.look(seen.tell, seen.results.append)
    serving.cancel()
    return max(pauses_s)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_no_member_is_where_a_machine_keeps_its_own(names: NameServer, address: str) -> None:
    kind = "AAAA" if ":" in address else "A"
    names.say(NAME, "A", ["10.0.0.1"])
    seen = by_name(names, networks=[])
    seen.look()
    names.say(NAME, "A", [])
    names.say(NAME, kind, [address])
    seen.look()
    assert seen.told == [["http://10.0.0.1:8000"]]
    assert seen.results[-1] == "refused"


@given(st.ip_addresses())
def test_networks_bound_all_but_what_is_never_a_member(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    everywhere = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    nowhere = [ipaddress.ip_network("192.0.2.0/31")]
    if address.is_link_local or address.is_multicast:
        assert is_refused(address, list(everywhere), loopback=True)
    if address not in nowhere[0]:
        assert is_refused(address, list(nowhere), loopback=True)


# Files.


def replace(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


GROUP = [{"targets": ["10.0.0.1:8000", "https://b.test/v1"], "labels": {"job": "llm"}}]
TARGETS = ["http://10.0.0.1:8000", "https://b.test/v1"]
IN_YAML = "- targets: ['10.0.0.1:8000', 'https://b.test/v1']\n  labels: {job: llm}\n"


@pytest.mark.parametrize("name", ["members.json", "members.yaml"])
def test_a_file_of_prometheus_names_members(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(GROUP) if name.endswith("json") else IN_YAML)
    seen = by_file(path)
    seen.look()
    seen.look()
    assert seen.told == [sorted(TARGETS)]
    replace(path, "[]")
    seen.look()
    assert seen.told[1:] == [[]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[{"targets": ["10.0.0.9:8000"',
        '{"targets": []}',
        '[{"targets": ["10.0.0.9"]}]',
        '["10.0.0.9:99999"]',
        '["http://user:secret@10.0.0.9:80"]',
        '["10.0.0.9:8000/../admin?x"]',
        "[" * 100_000,
        " " * (300 << 10),
        '["http://10.0.0.9:80/{model}"]',
    ],
)
def test_a_file_that_is_half_or_wrong_changes_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "members.json"
    path.write_text(json.dumps(["10.0.0.1:8000"]))
    seen = by_file(path)
    seen.look()
    replace(path, text)
    seen.look()
    path.unlink()
    seen.look()
    assert seen.told == [["http://10.0.0.1:8000"]]
    assert seen.results[1:] == ["failed", "failed"]


def test_a_file_that_is_being_written_is_read_when_it_has_settled(tmp_path: Path) -> None:
    """Half a YAML file may be a whole one that names fewer."""
    path = tmp_path / "members.yaml"
    path.write_text("- 10.0.0.1:8000\n- 10.0.0.2:8000\n")
    seen = by_file(path)
    seen.look()
    path.write_text("- 10.0.0.1:8000\n")
    seen.look()
    path.write_text("- 10.0.0.1:8000\n- 10.0.0.2:8000\n- 10.0.0.3:8000\n")
    seen.look()
    seen.look()
    assert [len(told) for told in seen.told] == [2, 3]


def test_a_files_addresses_may_be_this_machines_and_never_metadata(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    path.write_text(json.dumps(["127.0.0.1:8000", "169.254.169.254:80"]))
    seen = by_file(path)
    seen.look()
    assert seen.told == [["http://127.0.0.1:8000"]]


def test_where_networks_are_named_a_name_is_no_member(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    path.write_text(json.dumps(["10.0.0.1:8000", "rebinds.test:8000"]))
    seen = by_file(path, networks=["10.0.0.0/8"])
    seen.look()
    assert seen.told == [["http://10.0.0.1:8000"]]


# Members.


def members(*urls: str) -> Members:
    found = Members("x", UpstreamConfig(discover=DiscoverConfig(dns="x.test:80")), ())
    found.settle([MemberAddress(url) for url in urls])
    return found


def urls_of(found: Members) -> list[str]:
    return [each.url for each in found]


def test_those_that_stay_keep_their_breakers_and_load() -> None:
    found = members("http://10.0.0.1:80", "http://10.0.0.2:80")
    first = found.current[0]
    first.outstanding = 7
    found.settle([MemberAddress("http://10.0.0.1:80"), MemberAddress("http://10.0.0.3:80")])
    assert found.current[0] is first
    assert urls_of(found) == ["http://10.0.0.1:80", "http://10.0.0.3:80"]
    assert [each.url for each in found.leaving] == ["http://10.0.0.2:80"]


def test_who_comes_is_asked_after_a_check_where_others_can_be() -> None:
    found = members("http://10.0.0.1:80")
    assert found.current[0].usable()
    found.settle([MemberAddress("http://10.0.0.1:80"), MemberAddress("http://10.0.0.2:80")])
    assert [each.usable() for each in found] == [True, False]
    found.settle([MemberAddress("http://10.0.0.3:80")])
    assert [each.usable() for each in found] == [True]


def test_who_leaves_is_not_asked_and_who_returns_is_the_same() -> None:
    found = members("http://10.0.0.1:80", "http://10.0.0.2:80")
    gone = found.current[1]
    gone.has_spoken = True
    found.settle([MemberAddress("http://10.0.0.1:80")])
    assert not gone.usable()
    found.settle([MemberAddress("http://10.0.0.1:80"), MemberAddress("http://10.0.0.2:80")])
    assert found.current[1] is gone
    assert gone.usable()
    assert not found.leaving


def test_nobody_is_somebody_who_cannot_be_asked() -> None:
    """So that prices, capabilities and caches are those of the upstream, whoever is there."""
    found = members()
    (nobody,) = found
    assert isinstance(nobody, Upstream)
    assert not nobody.usable()
    assert nobody.config is found.config
    assert found.known() == []
    generation = found.generation
    found.settle([MemberAddress("http://10.0.0.1:80")])
    assert found.generation > generation
    assert nobody not in found.current
    found.settle([])
    assert found.current == [nobody]
