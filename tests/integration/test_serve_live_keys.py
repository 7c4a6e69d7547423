"""Keys in prompts and answers: counted, and told by whose they are, never shown."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llmops_cli.serve.accounts.keys import KeyStore
from tests.gateway import CHAT, Gateway, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PROVIDERS = "sk-ant-api03-Zx9wQ7bT2mN5kL8rV1cY4hJ6gF3dS0aPoIuXvBnM"
UPSTREAMS = "sk-proj-4fHq8ZsT1vXn6Yb3Lw0KdRj7Mc2Pg9Ua5EiQoBt"


def chat(text: str, **more: object) -> dict[str, Any]:
    return {**CHAT, "messages": [{"role": "user", "content": text}], **more}


def told(gateway: Gateway, count: int) -> list[list[str]]:
    """Of the last lines, which come when their answers have gone."""
    end = time.monotonic() + 10
    while len(gateway.audit()) < count:
        assert time.monotonic() < end
        time.sleep(0.05)
    return [line.get("keys", []) for line in gateway.audit()[-count:]]


def counted(start: Starter, gateway: Gateway) -> dict[str, float]:
    key = start.key("m", "--role", "metrics")
    lines = gateway.ask(None, path="/metrics", key=key)[2].decode().splitlines()
    name = "llmops_gateway_keys_seen_total"
    rows = [line.rpartition(" ") for line in lines if line.startswith(name)]
    return {labels.removeprefix(name): float(value) for labels, _, value in rows}


def test_whose_keys_were_seen_is_told_and_counted(
    upstream: Upstream,
    start: Starter,
) -> None:
    start.env["HOSTED_KEY"] = UPSTREAMS
    gateway = start.config(f"upstreams: {{u: {{url: '{upstream.url}', key_env: HOSTED_KEY}}}}\n")
    other = start.key("other", "--role", "user")
    gateway.ask(chat("hello"))
    gateway.ask(chat(f"mine is {PROVIDERS}, what is yours?"))
    gateway.ask(chat(f"I am {other}"))
    gateway.ask(chat(f"llmops_{PROVIDERS[13:]}"))
    upstream.words = ["I use ", UPSTREAMS[:11], UPSTREAMS[11:30], UPSTREAMS[30:], "."]
    gateway.ask(chat("stream", stream=True))
    gateway.ask(chat("whole"))
    gateway.ask(chat(f"{'long ' * 20_000} {PROVIDERS}"))
    *found, streamed, whole, long = told(gateway, 7)
    assert found[:2] == [[], ["input anthropic"]]
    assert found[2][0].startswith("input gateway ")
    assert found[3] == ["input llmops"]
    assert streamed == whole == ["output upstream"]
    assert long == ["input anthropic", "output upstream"]
    assert counted(start, gateway) == {
        '{direction="input",kind="anthropic"}': 2.0,
        '{direction="input",kind="gateway"}': 1.0,
        '{direction="input",kind="llmops"}': 1.0,
        '{direction="output",kind="upstream"}': 3.0,
    }
    written = (gateway.state / "audit.jsonl").read_text() + start.log()
    for key in (PROVIDERS, UPSTREAMS, other):
        assert key not in written


def test_a_revoked_key_is_none_and_nobody_looks_where_the_file_says_so(
    upstream: Upstream,
    start: Starter,
) -> None:
    dead = start.key("dead", "--role", "user")
    KeyStore(start.state).revoke("dead")
    file = f"upstreams: {{u: {{url: '{upstream.url}'}}}}\n"
    gateway = start.config(file)
    gateway.ask(chat(dead))
    assert told(gateway, 1) == [[]]
    blind = start.config(f"{file}audit: {{keys: false}}\n")
    blind.ask(chat(PROVIDERS))
    assert told(blind, 2) == [[], []]


def test_what_a_guard_takes_out_is_told_all_the_same(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(f"upstreams: {{u: {{url: '{upstream.url}'}}}}\nguard: default\n")
    upstream.words = ["It is ", PROVIDERS[:20], PROVIDERS[20:], "."]
    status, _, body = gateway.ask(chat("which?", stream=True))
    assert status == 200
    assert PROVIDERS.encode() not in body
    assert told(gateway, 1) == [["output anthropic"]]
