"""Judges are processes: what they return and raise comes back, whatever becomes of them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.config import JudgingConfig
from llmops_cli.serve.judging.pool import JudgePool
from llmops_cli.serve.judging.queue import QUICK_BYTES
from llmops_cli.serve.refusal import Refusal

BOUNDS = JudgingConfig(seconds=20)
SHORT = JudgingConfig(seconds=0.2)


def nothing() -> None:
    pass


def doubled(text: str) -> str:
    print("this is no outcome")
    return 2 * text


def refuse() -> None:
    raise Refusal(413, "too much", code="too_large", headers=[(b"a", b"b")])


def misuse() -> None:
    raise UsageError("no such policy", hint="another")


def fail() -> None:
    raise ZeroDivisionError("of the test")


def die_once(path: str) -> str:
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def nested(depth: int) -> object:
    found: list[object] = []
    for _ in range(depth):
        found = [found]
    return found


def with_pool(use: Callable[[JudgePool], Awaitable[None]]) -> None:
    async def run() -> None:
        pool = JudgePool(nothing)
        try:
            await use(pool)
        finally:
            await pool.close()
        assert pool.pids() == []

    asyncio.run(run())


def test_what_comes_of_a_task_comes_back() -> None:
    async def use(pool: JudgePool) -> None:
        assert await pool.run(doubled, "ab", key="k", size=9, bounds=BOUNDS) == "abab"
        large = "x" * (3 << 20)
        found = await pool.run(doubled, large, key="k", size=len(large), bounds=BOUNDS)
        assert found == large + large
        with pytest.raises(Refusal) as refused:
            await pool.run(refuse, key="k", size=9, bounds=BOUNDS)
        assert refused.value.status == 413
        assert refused.value.code == "too_large"
        assert refused.value.headers == [(b"a", b"b")]
        with pytest.raises(UsageError) as misused:
            await pool.run(misuse, key="k", size=9, bounds=BOUNDS)
        assert misused.value.message == "no such policy"
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            await pool.run(fail, key="k", size=9, bounds=BOUNDS)
        with pytest.raises(Refusal) as refused:
            await pool.run(nested, 100_000, key="k", size=9, bounds=BOUNDS)
        assert refused.value.status == 400
        assert pool.waiting() == 0

    with_pool(use)


def test_a_judge_that_dies_is_replaced(tmp_path: object) -> None:
    async def use(pool: JudgePool) -> None:
        path = f"{tmp_path}/died"
        assert await pool.run(die_once, path, key="k", size=9, bounds=BOUNDS) == "alive"
        with pytest.raises(Refusal) as refused:
            await pool.run(die, key="k", size=9, bounds=BOUNDS)
        assert refused.value.status == 503
        assert await pool.run(doubled, "a", key="k", size=9, bounds=BOUNDS) == "aa"

    with_pool(use)


def test_a_task_that_takes_too_long_ends_with_its_judge() -> None:
    async def use(pool: JudgePool) -> None:
        await pool.run(doubled, "a", key="k", size=9, bounds=BOUNDS)
        for size, status in ((QUICK_BYTES + 1, 413), (9, 503)):
            with pytest.raises(Refusal) as refused:
                await pool.run(time.sleep, 60, key="k", size=size, bounds=SHORT)
            assert refused.value.status == status
        assert await pool.run(doubled, "a", key="k", size=9, bounds=BOUNDS) == "aa"

    with_pool(use)


def test_who_is_cancelled_takes_the_task_out_of_the_queue() -> None:
    async def use(pool: JudgePool) -> None:
        size = QUICK_BYTES + 1
        sleeper = asyncio.ensure_future(pool.run(time.sleep, 1, key="k", size=size, bounds=BOUNDS))
        waiting = asyncio.ensure_future(pool.run(fail, key="k", size=size, bounds=BOUNDS))
        await asyncio.sleep(0.1)
        assert pool.waiting() == 2
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert pool.waiting() == 1
        assert await pool.run(doubled, "a", key="k", size=1, bounds=BOUNDS) == "aa"
        await sleeper

    with_pool(use)
