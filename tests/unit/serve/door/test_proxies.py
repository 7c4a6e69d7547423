"""Whose address it is: never one that a client has written itself."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.serve.accounts.limits import network_of
from llmops_cli.serve.door.proxies import TrustedProxies

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::/8", "127.0.0.1"])
CLIENT = "203.0.113.9"


def client(*lines: str, peer: str = "10.0.0.1") -> str:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]
    return PROXIES.client(peer, [(b"host", b"x"), *headers])


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ((CLIENT,), CLIENT),
        (("1.2.3.4", CLIENT), CLIENT),
        (("1.2.3.4, 5.6.7.8", f"{CLIENT}, 10.0.0.2"), CLIENT),
        ((f"{CLIENT}:4711",), CLIENT),
        (("[2001:db8::1]:4711",), "2001:db8::1"),
        (('"[2001:db8::1]"',), "2001:db8::1"),
        (("fe80::1%eth0",), "fe80::1"),
        (("::ffff:203.0.113.9",), CLIENT),
        (("1.2.3.4, unknown",), "10.0.0.1"),
        (("1.2.3.4, unknown, 10.0.0.3",), "10.0.0.3"),
        ((f"1.2.3.4, {CLIENT},",), "10.0.0.1"),
        (("",), "10.0.0.1"),
        ((), "10.0.0.1"),
    ],
    ids=str,
)
def test_the_nearest_that_is_none_of_ours(lines: tuple[str, ...], found: str) -> None:
    assert client(*lines) == found


def test_who_is_no_proxy_says_nothing_of_others() -> None:
    assert client(CLIENT, peer="198.51.100.7") == "198.51.100.7"
    assert client(CLIENT, peer="") == ""
    assert TrustedProxies([]).client("10.0.0.1", [(b"x-forwarded-for", b"1.2.3.4")]) == "10.0.0.1"


def test_a_proxy_with_two_kinds_of_addresses_is_one() -> None:
    assert client(CLIENT, peer="::ffff:10.0.0.1") == CLIENT


def test_at_a_listener_for_both_kinds_clients_have_addresses_of_their_own() -> None:
    """`--host ::` has IPv4 as ::ffff:192.0.2.1, of which all are one /64 of IPv6."""
    for trusted in ([], ["10.0.0.0/8"]):
        found = [TrustedProxies(trusted).client(f"::ffff:192.0.2.{n}", []) for n in (1, 2)]
        assert found == ["192.0.2.1", "192.0.2.2"]
        assert len(set(map(network_of, found))) == 2


@pytest.mark.quiet
def test_ten_thousand_entries_cost_little() -> None:
    begin = time.process_time()
    assert client(",".join(["10.0.0.1"] * 10_000)) == "10.0.0.1"
    assert client(*["10.0.0.1"] * 10_000) == "10.0.0.1"
    assert time.process_time() - begin < 0.1


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=50), max_size=5))
def test_whatever_stands_there_is_survived(lines: list[str]) -> None:
    assert len(client(*lines)) <= 45
