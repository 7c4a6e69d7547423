"""Who may ask: behind proxies, from pages in a browser, and with keys that are none."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.gateway import CHAT, Gateway, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def raw(gateway: Gateway, path: str, headers: list[tuple[str, str]], body: object = None) -> int:
    """With each header as it stands, twice if it is there twice."""
    client = http.client.HTTPConnection(gateway.url.removeprefix("http://"))
    sent = b"" if body is None else json.dumps(body).encode()
    client.putrequest("POST" if sent else "GET", path, skip_host=True)
    for name, value in headers:
        client.putheader(name, value)
    client.putheader("Content-Length", str(len(sent)))
    client.endheaders(sent)
    status = client.getresponse().status
    client.close()
    return status


def test_a_proxy_that_adds_a_line_of_its_own_is_believed(
    upstream: Upstream, start: Starter
) -> None:
    gateway = start.config(
        f"upstreams: {{one: {{url: '{upstream.url}'}}}}\n"
        "limits: {ip: {requests_per_minute: 2}, trusted_proxies: [127.0.0.1]}\n"
    )
    key = ("Authorization", f"Bearer {gateway.key}")
    codes = []
    for number in range(4):
        claimed = ("X-Forwarded-For", f"198.51.100.{number}")
        real = ("X-Forwarded-For", "203.0.113.9")
        headers = [("Host", "x"), key, claimed, real]
        codes.append(raw(gateway, "/v1/chat/completions", headers, CHAT))
    assert codes == [200, 200, 429, 429]
    for odd in ("fe80::1%eth0", '"[::1]:7"', "garbage", ",,,", "1.2.3.4," * 5000):
        headers = [("Host", "x"), key, ("X-Forwarded-For", odd)]
        assert raw(gateway, "/v1/chat/completions", headers, CHAT) in (200, 429, 431)
    assert {line["ip"] for line in gateway.audit()[:4]} == {"203.0.113.9"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("limits: {trusted_proxies: [foo]}", "limits.trusted_proxies.0: 'foo' is no address"),
        ("limits: {trusted_proxies: [10.0.0.0/33]}", "is no address or network"),
        ("hosts: ['http://x:80']", "hosts.0: 'http://x:80' is no host's name"),
        ("keys_required: false\ncors: {origins: ['*']}", "name the origins"),
    ],
)
def test_what_is_no_network_or_name_is_refused_when_read(
    tmp_path: Path, demo_cli: Cli, line: str, said: str
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(f"upstreams: {{one: {{url: 'http://127.0.0.1:9/v1'}}}}\n{line}\n")
    done = demo_cli("serve", "--config", str(file), "--check")
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_without_keys_only_this_machine_s_own_pages_may_ask(
    upstream: Upstream, start: Starter
) -> None:
    gateway = start(upstream.url, "--no-keys")
    host = gateway.url.removeprefix("http://")
    for path in ("/v1/chat/completions", "/ui", "/admin/state", "/metrics", "/v1/models"):
        body = CHAT if "chat" in path else None
        assert raw(gateway, path, [("Host", host)], body) == 200
        assert raw(gateway, path, [("Host", host), ("Origin", gateway.url)], body) == 200
        assert raw(gateway, path, [("Host", "evil.example")], body) == 403
        assert raw(gateway, path, [("Host", host), ("Origin", "http://evil.example")], body) == 403
        assert raw(gateway, path, [("Host", host), ("Origin", "null")], body) == 403
    assert raw(gateway, "/health", [("Host", "balancer.internal")]) == 200
    assert len(upstream.seen) == 2
    # official clients cannot be made to send no key
    for header in (("Authorization", "Bearer sk-none"), ("X-Api-Key", "x"), ("Authorization", "x")):
        assert raw(gateway, "/v1/chat/completions", [("Host", host), header], CHAT) == 200


def test_bad_keys_are_limited_by_address_and_good_ones_are_not(
    upstream: Upstream, start: Starter
) -> None:
    gateway = start.config(
        f"upstreams: {{one: {{url: '{upstream.url}'}}}}\n"
        "limits: {bad_keys_per_minute: 5, trusted_proxies: [127.0.0.1]}\n",
        "--workers",
        "2",
    )
    answers = [gateway.ask(CHAT, key=f"llmops_{number}") for number in range(8)]
    assert [status for status, _, _ in answers] == [401] * 5 + [429] * 3
    assert int(answers[-1][1]["retry-after"]) >= 1
    assert gateway.ask(CHAT)[0] == 200, "a good key behind the same address"
    inside = [gateway.ask(CHAT, key="x", headers=forwarded(number))[0] for number in range(6)]
    assert inside == [401] * 5 + [429], "a /64 of IPv6 is one"
    assert gateway.ask(None, path="/metrics", key="bad")[0] == 429


def forwarded(number: int) -> dict[str, str]:
    return {"X-Forwarded-For": f"2001:db8::{number}"}
