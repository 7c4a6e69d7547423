"""Limits, budgets and caches: of one process, of several workers, and of gateways that share a
Redis.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_cli.gateway_file.config import RedisConfig
from llmops_cli.serve.accounts.budget import Reservation, month_now
from llmops_cli.serve.accounts.charge import Charge
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
from llmops_cli.serve.accounts.redis_budgets import RedisBudgets
from llmops_cli.serve.accounts.redis_limiter import RedisLimiter
from llmops_cli.serve.accounts.redis_link import RedisLink
from llmops_cli.serve.refusal import Refusal
from tests.gateway import CHAT, Gateway, Starter, Upstream, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


class Redis:
    """A real one, of ours."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        server = shutil.which("redis-server")
        assert server, "redis-server is missing (Debian: apt-get install redis-server)"
        argv = [
            server,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self.folder),
        ]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    found = Redis(tmp_path)
    yield found
    found.stop()


def key_of(**more: Any) -> Key:
    return Key(id="k", name="k", role="user", models=[], created=0.0, **more)


def many(
    gateways: list[Gateway], count: int, key: str, threads: int = 24, **body: Any
) -> list[int]:
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        asked = [
            pool.submit(gateways[i % len(gateways)].ask, {**CHAT, **body}, key=key)
            for i in range(count)
        ]
        return [each.result()[0] for each in asked]


# -- limits
# --------------------------------------------------------------------------------------------


def test_two_gateways_on_one_redis_share_a_limit_exactly(
    upstream: Upstream, start: Starter, redis: Redis
) -> None:
    key = start.key("few", "--requests-per-minute", "30")
    gateways = [start(upstream.url, "--redis", redis.url) for _ in range(2)]
    begun = time.monotonic()
    codes = many(gateways, 120, key)
    refilled = (time.monotonic() - begun) * 30 / 60
    assert 30 <= codes.count(200) <= 30 + refilled + 1
    assert set(codes) == {200, 429}


def test_what_one_gateway_answered_is_rated_at_another(
    upstream: Upstream, start: Starter, redis: Redis
) -> None:
    text = f"upstreams: {{x: {{url: '{upstream.url}'}}}}\nredis: {{url: '{redis.url}'}}\n"
    gateways = [start.config(f"{text}feedback: {{}}\n") for _ in range(2)]
    _, headers, _ = gateways[0].ask(CHAT)
    body = {"request": headers["x-request-id"], "score": 1}
    path = "/v1/feedback"
    assert gateways[1].ask(body, path=path, key=gateways[1].key)[0] == 404
    told = [gateways[i % 2].ask(body, path=path, key=gateways[0].key)[0] for i in range(7)]
    assert told == [200] * 5 + [409] * 2
    redis.stop()
    assert gateways[1].ask(body, path=path, key=gateways[0].key)[0] == 404


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    most=st.integers(1, 60),
    amount=st.integers(1, 7),
    gateways=st.integers(2, 4),
    each=st.integers(5, 40),
)
def test_what_gateways_take_from_redis_is_what_there_is(
    most: int, amount: int, gateways: int, each: int, redis: Redis
) -> None:
    """However they interleave: never more than the bucket held, and never a refusal while there was
    enough.
    """

    async def go() -> tuple[int, float, float]:
        prefix = f"t{time.monotonic_ns()}"
        config = RedisConfig(url=redis.url, prefix=prefix)
        links = [RedisLink(config, patience_s=30.0) for _ in range(gateways)]
        limiters = [RedisLimiter(link, _Never()) for link in links]
        charge = [Charge("key:a", "tokens", most, float(amount))]
        begun = time.monotonic()
        taken = await asyncio.gather(
            *(limiters[i % gateways].take(charge) for i in range(gateways * each))
        )
        passed_s = time.monotonic() - begun
        empty = await limiters[0].take([Charge("key:a", "tokens", most, 0.0)])
        left = empty.buckets[0].left
        for link in links:
            await link.close()
        return sum(each.refused is None for each in taken), passed_s, left

    granted, passed_s, left = asyncio.run(go())
    filled = most + passed_s * most / 60
    assert granted * amount <= filled + max(0, amount - most) + 1e-6
    asked = gateways * each
    assert granted == asked or left < min(amount, most), (
        "who was refused could not have been served"
    )


class _Never:
    """There is no going on alone in these tests."""

    async def take(self, charges: Any) -> Any:
        raise AssertionError("Redis is away")

    async def give_back(self, charges: Any, lease: str = "") -> None:
        raise AssertionError("Redis is away")


def test_workers_share_limits_keys_and_metrics(upstream: Upstream, start: Starter) -> None:
    few = start.key("few", "--requests-per-minute", "20")
    gateway = start(upstream.url, "--workers", "3")
    codes = many([gateway], 60, few)
    assert 20 <= codes.count(200) <= 22
    admin = start.key("adm", "--role", "admin")
    time.sleep(1)
    for _ in range(5):  # whichever worker is asked
        text = gateway.ask(None, path="/metrics", key=admin)[2].decode()
        counted = sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("llmops_gateway_requests_total") and "chat" in line
        )
        assert counted == 60
    assert many([gateway], 30, gateway.key) == [200] * 30
    subprocess.run(
        [sys.executable, "-m", "llmops_cli", "keys", "revoke", "k0"],
        env=start.env,
        check=True,
        capture_output=True,
    )
    time.sleep(1.0)
    assert many([gateway], 60, gateway.key) == [401] * 60, "on every worker"


def test_a_worker_that_is_killed_is_replaced(upstream: Upstream, start: Starter) -> None:
    import psutil

    upstream.delay_s = 0.01
    gateway = start(upstream.url, "--workers", "2")
    parent = psutil.Process(gateway.process.pid)
    codes: list[int] = []
    for victim in parent.children():
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(_status, gateway) for _ in range(60)]
            time.sleep(0.05)
            victim.kill()
            codes += [each.result() for each in asked]
    assert codes.count(200) > 80, "only what the dead worker had in hand is lost"
    assert set(codes) <= {200, 0}
    time.sleep(2)
    assert len(parent.children()) == 2
    assert many([gateway], 40, gateway.key) == [200] * 40
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(20) == 0
    assert (
        not any(child.is_running() for child in parent.children()) if parent.is_running() else True
    )


def _status(gateway: Gateway) -> int:
    try:
        return gateway.ask({**CHAT, "stream": True})[0]
    except (OSError, http.client.HTTPException):
        return 0


def test_limits_of_addresses_and_models(
    upstreams: Callable[[int], list[Upstream]], start: Starter
) -> None:
    (one,) = upstreams(1)
    gateway = start.config(
        f"upstreams: {{one: {{url: '{one.url}'}}}}\n"
        f"models: {{a: {{pool: [one]}}, b: {{pool: [one]}}}}\n"
        "limits:\n  ip: {requests_per_minute: 12}\n"
        "  models: {a: {requests_per_minute: 5}}\n  prompt_tokens: 500\n"
        "  trusted_proxies: [127.0.0.1]\n"
    )
    assert [gateway.ask({**CHAT, "model": "a"})[0] for _ in range(6)] == [200] * 5 + [429]
    status, headers, body = gateway.ask({**CHAT, "model": "a"})
    assert status == 429
    assert (
        "the model has reached its limit of 5 requests a minute"
        in json.loads(body)["error"]["message"]
    )
    assert int(headers["retry-after"]) >= 1
    assert [gateway.ask({**CHAT, "model": "b"})[0] for _ in range(8)] == [200] * 7 + [429]
    other = {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}
    assert gateway.ask({**CHAT, "model": "b"}, headers=other)[0] == 200, (
        "another client behind the same proxy"
    )
    long = {"model": "b", "messages": [{"role": "user", "content": "word " * 900}]}
    assert gateway.ask(long, headers=other)[0] == 400


# -- budgets
# -------------------------------------------------------------------------------------------

PRICED = (
    "upstreams: {{one: {{url: '{url}', price: {{input: 0, output: 1000}}}}}}\n"
    "models: {{m: {{pool: [one]}}}}\n{more}"
)


@pytest.mark.parametrize("shared", [False, True])
def test_a_budget_is_not_overshot_under_load(
    shared: bool, upstream: Upstream, start: Starter, redis: Redis
) -> None:
    """Answers cost 3 tokens x $0.001; each request reserves 10: of $0.30, 200 requests at once may
    spend all but 9.
    """
    upstream.delay_s = 0.02
    key = start.key("poor", "--budget-dollars", "0.3")
    more = f"redis: {{url: '{redis.url}'}}\n" if shared else ""
    text = PRICED.format(url=upstream.url, more=more)
    gateways = [start.config(text), start.config(text, "--workers", "2")]
    codes = many(gateways, 200, key, threads=100, max_tokens=10, stream=True)
    assert set(codes) == {200, 429}
    spent = codes.count(200) * 0.003
    assert spent <= 0.3 + 1e-9
    codes += many(gateways, 60, key, threads=4, max_tokens=10)
    codes += many(gateways, 60, key, threads=1, max_tokens=10)
    spent = codes.count(200) * 0.003
    assert 0.3 - 0.01 <= spent <= 0.3 + 1e-9, "and one after the other they spend it all"
    admin = start.key("adm", "--role", "admin")
    time.sleep(1)
    rows = json.loads(gateways[0].ask(None, path="/admin/state", key=admin)[2])["keys"]
    assert next(row["dollars"] for row in rows if row["name"] == "poor") == pytest.approx(spent)
    status, headers, body = gateways[0].ask({**CHAT, "max_tokens": 10}, key=key)
    assert (status, json.loads(body)["error"]["code"]) == (429, "insufficient_quota")
    assert headers["x-should-retry"] == "false"


@pytest.mark.quiet
def test_what_is_cancelled_or_killed_costs_what_came(upstream: Upstream, start: Starter) -> None:
    upstream.words = ["w"] * 200
    upstream.delay_s = 0.05
    key = start.key("poor", "--budget-dollars", "0.5")
    gateway = start.config(PRICED.format(url=upstream.url, more=""))
    body = json.dumps({**CHAT, "stream": True, "max_tokens": 200}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2]))) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(0.6)
    time.sleep(0.5)
    spent = asyncio.run(LocalBudgets(start.state).spent(month_now()))
    assert 0.004 <= next(iter(spent.values())).dollars <= 0.02, "about ten words, not two hundred"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        stuck = [pool.submit(_quiet, gateway, key) for _ in range(2)]
        time.sleep(0.5)
        assert gateway.ask({**CHAT, "max_tokens": 200}, key=key)[0] == 429, (
            "two of 200 are reserved"
        )
        gateway.process.kill()
        gateway.process.wait()
        for each in stuck:
            each.result()
    upstream.words = ["w"]
    upstream.delay_s = 0.0
    again = start.config(PRICED.format(url=upstream.url, more=""))
    assert again.ask({**CHAT, "max_tokens": 200}, key=key)[0] == 200, (
        "what was reserved died with its process"
    )


def _quiet(gateway: Gateway, key: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        gateway.ask({**CHAT, "stream": True, "max_tokens": 200}, key=key)


def test_who_may_stand_in_is_reserved_for(upstream: Upstream, start: Starter) -> None:
    """Ten tokens cost $0.0001 in the pool and $0.01 at the fallback, which $0.005 could not pay."""
    key = start.key("poor", "--budget-dollars", "0.005")
    gateway = start.config(
        f"upstreams:\n  one: {{url: '{upstream.url}', price: {{input: 0, output: 10}}}}\n"
        f"  dear: {{url: '{upstream.url}', price: {{input: 0, output: 1000}}}}\n"
        "models: {a: {pool: [one]}, b: {pool: [one], fallback: [c]}, c: {pool: [dear]}}\n"
    )
    assert gateway.ask({**CHAT, "model": "a", "max_tokens": 10}, key=key)[0] == 200
    status, _, body = gateway.ask({**CHAT, "model": "b", "max_tokens": 10}, key=key)
    assert status == 429
    assert "may cost $0.01" in json.loads(body)["error"]["message"]


def test_an_answer_without_a_bound_gets_one_where_a_budget_counts(
    upstream: Upstream, start: Starter
) -> None:
    key = start.key("poor", "--budget-dollars", "100")
    gateway = start.config(
        PRICED.format(url=upstream.url, more="limits: {unsaid_answer_tokens: 777}")
    )
    assert gateway.ask(CHAT, key=key)[0] == 200
    assert upstream.seen[-1]["max_tokens"] == 777
    assert gateway.ask(CHAT)[0] == 200
    assert "max_tokens" not in upstream.seen[-1]


def test_budgets_in_redis_forget_who_is_gone(redis: Redis) -> None:
    async def go() -> list[bool]:
        link = RedisLink(RedisConfig(url=redis.url), lease_s=0.4)
        budgets = RedisBudgets(link, _NoBudgets())
        key = key_of(budget_dollars=1.0)
        found = []
        for wait_s in (0.0, 0.0, 0.6):
            await asyncio.sleep(wait_s)
            try:
                await budgets.reserve(key, 0.8, 1)
                found.append(True)
            except Refusal:
                found.append(False)
        await link.close()
        return found

    assert asyncio.run(go()) == [True, False, True]


@pytest.mark.quiet
def test_the_spending_of_many_keys_is_read_among_many_others(redis: Redis) -> None:
    """With the patience of a single question: whoever looks puts Redis out for nobody."""
    import asyncio

    from redis import Redis as Client

    with Client.from_url(redis.url, socket_timeout=60) as client:
        client.eval("for i = 1, 800000 do redis.call('set', 'other:' .. i, 'x') end", 0)

    async def go() -> tuple[float, bool]:
        link = RedisLink(RedisConfig(url=redis.url), patience_s=0.05)
        fill = link.client.pipeline(transaction=False)
        for number in range(3000):
            fill.hset(link.name("spend", f"k{number}:2026-11"), mapping={"dollars": 1, "tokens": 2})
        await fill.execute()
        spent = await RedisBudgets(link, _NoBudgets()).spent("2026-11")
        up = link.up
        await link.close()
        return sum(each.dollars for each in spent.values()), up

    assert asyncio.run(go()) == (3000.0, True)


class _NoBudgets:
    async def reserve(self, key: Key, dollars: float, tokens: int) -> Reservation:
        raise AssertionError("Redis is away")

    async def settle(self, reservation: Reservation, dollars: float, tokens: int) -> None:
        raise AssertionError("Redis is away")

    async def spent(self, month: str) -> dict[str, Any]:
        return {}


# -- Redis goes away
# -----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["alone", "refuse"])
def test_redis_may_die_and_come_back(
    policy: str, upstream: Upstream, start: Starter, redis: Redis
) -> None:
    key = start.key("few", "--requests-per-minute", "600")
    gateway = start.config(
        f"upstreams: {{one: {{url: '{upstream.url}'}}}}\n"
        f"redis: {{url: '{redis.url}', when_down: {policy}}}\n"
    )
    assert many([gateway], 20, key) == [200] * 20
    redis.stop()
    begun = time.monotonic()
    codes = many([gateway], 40, key)
    assert time.monotonic() - begun < 4
    assert set(codes) == ({200} if policy == "alone" else {503})
    redis.start()
    time.sleep(1.5)
    assert many([gateway], 20, key) == [200] * 20
    assert "Redis is away" in start.log()
    assert "Redis is back" in start.log()


@pytest.mark.quiet
def test_a_frozen_redis_delays_only_the_first(
    upstream: Upstream, start: Starter, redis: Redis
) -> None:
    key = start.key("few", "--requests-per-minute", "600")
    gateway = start(upstream.url, "--redis", redis.url)
    assert many([gateway], 10, key) == [200] * 10
    redis.process.send_signal(signal.SIGSTOP)
    try:
        times = []
        for _ in range(10):
            begun = time.monotonic()
            assert gateway.ask(CHAT, key=key)[0] == 200
            times.append(time.monotonic() - begun)
        assert max(times) < 1.5
        assert sorted(times)[5] < 0.2
    finally:
        redis.process.send_signal(signal.SIGCONT)


# -- caches
# --------------------------------------------------------------------------------------------

CACHED = (
    "upstreams: {{one: {{url: '{url}'}}}}\nmodels:\n"
    "  m: {{pool: [one], cache: {{ttl_s: 60{semantic}}}}}\n"
    "  v: {{pool: [one]}}\n{more}"
)


@pytest.mark.parametrize("shared", [False, True])
def test_the_same_request_is_answered_again_in_either_form(
    shared: bool, upstream: Upstream, start: Starter, redis: Redis
) -> None:
    more = f"redis: {{url: '{redis.url}'}}\n" if shared else ""
    gateway = start.config(CACHED.format(url=upstream.url, semantic="", more=more))
    status, headers, body = gateway.ask({**CHAT, "stream": True})
    assert (status, headers.get("x-llmops-cache")) == (200, None)
    status, headers, again = gateway.ask({**CHAT, "stream": True})
    assert headers["x-llmops-cache"] == "hit"
    assert headers["content-type"].startswith("text/event-stream")
    assert _words(again) == _words(body) == "Hello there."
    assert b'"usage"' not in again
    status, headers, whole = gateway.ask(CHAT)
    assert headers["x-llmops-cache"] == "hit"
    answer = json.loads(whole)
    assert answer["choices"][0]["message"]["content"] == "Hello there."
    assert (answer["object"], answer["usage"]["total_tokens"]) == ("chat.completion", 8)
    assert len(upstream.seen) == 1
    for other in (
        {"temperature": 0.3},
        {"max_tokens": 5},
        {"seed": 3},
        {"messages": [{"role": "user", "content": "Ho"}]},
    ):
        assert gateway.ask({**CHAT, **other})[1].get("x-llmops-cache") is None
    assert len(upstream.seen) == 5
    assert gateway.ask({**CHAT, "user": "u7"})[1]["x-llmops-cache"] == "hit", (
        "who asks changes no answer"
    )
    assert gateway.ask(CHAT, headers={"X-LLMOPS-Cache": "bypass"})[1].get("x-llmops-cache") is None
    admin = start.key("adm", "--role", "admin")
    time.sleep(1)
    text = gateway.ask(None, path="/metrics", key=admin)[2].decode()
    assert 'llmops_gateway_cache_total{model="m",result="hit"} 3.0' in text
    assert 'llmops_gateway_cache_total{model="m",result="miss"} 5.0' in text


def _words(stream: bytes) -> str:
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


def test_half_an_answer_or_an_error_is_never_kept(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(CACHED.format(url=upstream.url, semantic="", more="retries: {most: 0}"))
    upstream.mode = "half"
    assert b"broke off" in gateway.ask({**CHAT, "stream": True})[2]
    upstream.mode = "500"
    assert gateway.ask(CHAT)[0] == 500
    upstream.mode = "fine"
    assert gateway.ask(CHAT)[1].get("x-llmops-cache") is None
    assert gateway.ask(CHAT)[1]["x-llmops-cache"] == "hit"


def test_questions_that_mean_the_same(upstream: Upstream, start: Starter) -> None:
    semantic = ", semantic: {model: v, threshold: 0.98}"
    gateway = start.config(CACHED.format(url=upstream.url, semantic=semantic, more=""))

    def ask(text: str, **more: Any) -> str | None:
        body = {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": text},
            ],
            **more,
        }
        status, headers, _ = gateway.ask(body)
        assert status == 200
        return headers.get("x-llmops-cache")

    assert ask("What is the capital of France") is None
    assert ask("the capital of France is what") == "semantic"
    assert ask("the capital of France is what", temperature=0.5) is None
    assert ask("What is 12 times 3") is None
    assert ask("What is 13 times 2") is None, "other numbers, another question"
    assert ask("Is it not safe") is None
    assert ask("Is it safe ton") is None, "a negation counts"


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    plan=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["cat", "act", "dog", "god", "What is it?"]),
            st.booleans(),
        ),
        min_size=4,
        max_size=16,
    )
)
def test_no_tenant_ever_sees_another_s_answer(
    plan: list[tuple[int, str, bool]], tenants: Tenants
) -> None:
    """Each tenant's answers name the tenant. Exact and semantic cache are on; whatever they ask,
    names never cross.
    """
    for tenant, text, stream in plan:
        body = tenants.ask(tenant, text, stream)
        assert f"for-{tenant}-".encode() in body
        assert not any(f"for-{other}-".encode() in body for other in range(3) if other != tenant)


class Tenants:
    """Three keys on one gateway, whose upstream says the key's own word, which only the test
    knows.
    """

    def __init__(self, upstream: Upstream, start: Starter) -> None:
        self.upstream = upstream
        self.keys = [start.key(f"tenant{i}") for i in range(3)]
        semantic = ", semantic: {model: v, threshold: 0.9}"
        self.gateway = start.config(CACHED.format(url=upstream.url, semantic=semantic, more=""))

    def ask(self, tenant: int, text: str, stream: bool) -> bytes:
        self.upstream.words = [f"for-{tenant}-{len(self.upstream.seen)}"]
        body = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}
        status, _, said = self.gateway.ask(body, key=self.keys[tenant])
        assert status == 200
        return said


@pytest.fixture
def tenants(upstream: Upstream, start: Starter) -> Tenants:
    return Tenants(upstream, start)
