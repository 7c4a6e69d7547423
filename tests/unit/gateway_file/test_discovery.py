"""Where members are looked up: what a file may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.read import load_config


@pytest.mark.parametrize(
    ("discover", "said"),
    [
        ("{}", "members are looked up by one of dns, srv and file"),
        ("{dns: 'a:1', file: b}", "members are looked up by one of dns, srv and file"),
        ("{dns: engines}", "engines is no name with a port"),
        ("{dns: 'http://engines:80'}", "is no name with a port"),
        ("{srv: 'a b'}", "is no name of SRV records"),
        ("{file: nowhere.json}", "no file of members at"),
        ("{dns: 'a:1', resolver: dns.google}", "is no address of a name server"),
        ("{dns: 'a:1', networks: [ten]}", "is no address or network"),
        ("{dns: 'a:1', path: v1}", "is no path of an address"),
        ("{dns: 'a:1', ttl_least_s: 60}", "the least is more than the most"),
        ("{dsn: 'a:1'}", "dns"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, discover: str, said: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"upstreams:\n  pool: {{discover: {discover}}}\n")
    with pytest.raises(UsageError) as wrong:
        load_config(file)
    assert said in f"{wrong.value.message} {wrong.value.hint}"
    assert f"{file}:2" in wrong.value.message


@pytest.mark.parametrize("beside", ["url: 'http://a:1'", "engine: sim"])
def test_one_source_of_addresses(tmp_path: Path, beside: str) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"upstreams:\n  pool: {{discover: {{dns: 'a:1'}}, {beside}}}\n")
    with pytest.raises(UsageError, match="one of them"):
        load_config(file)


def test_replicas_are_for_engines(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("upstreams:\n  pool: {discover: {dns: 'a:1'}, replicas: 3}\n")
    with pytest.raises(UsageError, match="replicas is for an engine to start"):
        load_config(file)


def test_a_file_of_members_is_the_gateways_neighbour(tmp_path: Path) -> None:
    (tmp_path / "members.json").write_text("[]")
    file = tmp_path / "gateway.yaml"
    file.write_text("upstreams:\n  pool: {discover: {file: members.json}}\n")
    discover = load_config(file).upstreams["pool"].discover
    assert discover is not None
    assert discover.file == str(tmp_path / "members.json")
