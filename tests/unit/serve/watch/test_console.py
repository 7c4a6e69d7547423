"""The state of a gateway with many keys: in pages, in figures that agree, and in nobody's way."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.serve.accounts.bucket_file import BucketFile, MachineLimiter
from llmops_cli.serve.accounts.keys import Key, KeyStore
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
from llmops_cli.serve.context import Ended, RequestContext
from llmops_cli.serve.endpoints import CHAT, METRICS
from llmops_cli.serve.request import RequestBody
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.watch.aside import SWITCH_S
from llmops_cli.serve.watch.console import Console
from llmops_cli.serve.watch.metrics import Metrics
from llmops_cli.serve.watch.state import KeyPage


class Watched:
    """A console, and what it looks at."""

    def __init__(self, folder: Path) -> None:
        self.keys = KeyStore(folder)
        self.metrics = Metrics()
        canaries = Canaries(folder)
        self.snapshot = Snapshot(
            GatewayConfig(upstreams={}),
            urls={},
            policy=None,
            limiter=MachineLimiter(BucketFile(folder)),
            canaries=canaries,
            metrics=self.metrics,
        )
        self.console = Console(folder, self.metrics, LocalBudgets(folder), canaries)

    def fill(self, count: int) -> list[Key]:
        self.keys._db.execute("begin")
        keys = [
            self.keys.create(f"k{number}", tags={"team": f"t{number % 3}"})[1]
            for number in range(count)
        ]
        rows = [(key.id, time.strftime("%Y-%m"), 1.0, number) for number, key in enumerate(keys)]
        self.keys._db.executemany("insert into spend values (?, ?, ?, ?)", rows)
        self.keys._db.execute("commit")
        return keys

    def answer(self, key: str, *, model: str = "m", status: int = 200) -> RequestContext:
        context = RequestContext(CHAT.path, CHAT)
        context.asked.key_id = key
        context.asked.body = RequestBody(model=model, stream=True)
        context.decided.alias = model
        observed = context.observed
        observed.status = status
        observed.first_s = 0.1
        observed.dollars = 0.5
        observed.upstream = "up"
        observed.usage.input_tokens = 5
        observed.usage.output_tokens = 6
        return context

    async def state(self, page: KeyPage) -> Any:  # Any: JSON
        return msgspec.json.decode(await self.console.state(self.snapshot, page))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def longest_wait_ms(work: Callable[[], Awaitable[object]]) -> float:
    """Of a loop that has something to do each millisecond."""
    longest = 0.0
    task = asyncio.ensure_future(work())
    while not task.done():
        begin = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - begin - 0.001)
    await task
    return longest * 1e3


@pytest.mark.quiet
def test_ten_thousand_keys_keep_nobody_waiting(watched: Watched) -> None:
    for key in watched.fill(10_000):
        for status in (200, 429):
            watched.metrics.done(watched.answer(key.id, status=status), 1.0)

    async def look() -> None:
        await watched.state(KeyPage(most=50))
        await watched.console.metrics()

    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        waited_ms = asyncio.run(longest_wait_ms(look))
    finally:
        sys.setswitchinterval(switch_s)
    print(f"longest wait: {waited_ms:.1f} ms")
    assert waited_ms < 50


def test_keys_come_in_pages_and_tags_sum_up_all(watched: Watched) -> None:
    keys = watched.fill(7)
    state = asyncio.run(watched.state(KeyPage(most=3, first=3)))
    assert [row["name"] for row in state["keys"]] == ["k3", "k2", "k1"]
    assert (state["keys_from"], state["keys_total"], state["keys_damaged"]) == (3, 7, 0)
    teams = {row["value"]: (row["keys"], row["dollars"]) for row in state["tags"]["team"]}
    assert teams == {"t0": (3, 3.0), "t1": (2, 2.0), "t2": (2, 2.0)}
    assert len(keys) == 7


def test_tiles_are_the_sums_of_their_tables(watched: Watched) -> None:
    metrics = watched.metrics
    for status in (200, 200, 404, 429, 500, 503):
        metrics.done(watched.answer("k", status=status), 1.0)
    broken = watched.answer("k", model="other")
    broken.observed.ended = Ended.BROKEN
    metrics.done(broken, 1.0)
    page = RequestContext(METRICS.path)
    page.observed.status = 403
    metrics.done(page, 0.1)
    state = asyncio.run(watched.state(KeyPage()))
    rows = [*state["models"].values(), state["no_model"]]
    for field in ("requests", "errors", "client_errors"):
        assert state[field] == sum(row[field] for row in rows), field
    assert (state["requests"], state["errors"], state["client_errors"]) == (8, 3, 3)
    assert state["models"]["other"]["errors"] == state["broken"] == 1
    assert state["models"]["m"]["e2e"][-1][1] == 2, "what was refused has no latency"


def test_who_asks_together_is_answered_together_and_never_of_before(watched: Watched) -> None:
    async def ask() -> set[bytes]:
        first = asyncio.ensure_future(watched.console.metrics())
        await asyncio.sleep(0)
        watched.metrics.done(watched.answer("k"), 1.0)
        later = [watched.console.metrics() for _ in range(5)]
        await first
        return set(await asyncio.gather(*later))

    (text,) = asyncio.run(ask())
    assert b'requests_total{key="k",model="m",route="/v1/chat/completions"' in text
