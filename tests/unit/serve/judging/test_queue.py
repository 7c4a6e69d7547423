"""Tasks wait in lanes, one of each key in turn, and no more of them than may."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.serve.judging.frames import Task
from llmops_cli.serve.judging.queue import QUICK_BYTES, FairQueue, Job, Lane, lane_of
from llmops_cli.serve.refusal import Refusal

LARGE = QUICK_BYTES + 1


def job(key: str, size: int = LARGE) -> Job:
    answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    return Job(Task(len, ("",)), key, lane_of(size), size, answer, 1.0)


async def order_of(keys: Sequence[str]) -> list[str]:
    queue = FairQueue()
    for key in keys:
        queue.put(job(key), most=100, most_of_key=100, most_bytes=1 << 30)
    return [(await queue.take((Lane.LARGE,))).key for _ in keys]


def test_keys_take_turns() -> None:
    assert asyncio.run(order_of("aaaaabbc")) == list("abcabaaa")


@settings(deadline=None)
@given(keys=st.lists(st.sampled_from("abcd"), max_size=30))
def test_nobody_waits_behind_two_of_another_key(keys: list[str]) -> None:
    order = asyncio.run(order_of(keys))

    assert sorted(order) == sorted(keys)
    for key in set(keys):
        first = order.index(key)
        assert len(set(order[:first])) == first


def test_a_large_task_is_not_for_the_judge_of_quick_ones() -> None:
    async def check() -> None:
        queue = FairQueue()
        queue.put(job("a"), most=9, most_of_key=9, most_bytes=1 << 30)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.take((Lane.QUICK,)), 0.01)
        queue.put(job("b", size=1), most=9, most_of_key=9, most_bytes=1 << 30)
        assert (await queue.take((Lane.QUICK,))).key == "b"
        assert (await queue.take((Lane.LARGE, Lane.QUICK))).key == "a"

    asyncio.run(check())


def test_a_key_and_all_together_have_bounds() -> None:
    async def check() -> None:
        queue = FairQueue()
        first = job("a")
        queue.put(first, most=2, most_of_key=1, most_bytes=1 << 30)
        with pytest.raises(Refusal) as refused:
            queue.put(job("a"), most=2, most_of_key=1, most_bytes=1 << 30)
        assert refused.value.status == 429
        queue.put(job("b"), most=2, most_of_key=1, most_bytes=1 << 30)
        with pytest.raises(Refusal) as refused:
            queue.put(job("c"), most=2, most_of_key=1, most_bytes=1 << 30)
        assert refused.value.status == 503
        assert dict(refused.value.headers)[b"retry-after"]
        assert await queue.take((Lane.LARGE,)) is first
        with pytest.raises(Refusal):  # it is worked on still
            queue.put(job("a"), most=9, most_of_key=1, most_bytes=1 << 30)
        queue.done(first)
        queue.put(job("a"), most=9, most_of_key=1, most_bytes=1 << 30)

    asyncio.run(check())


def test_what_is_withdrawn_leaves_no_trace() -> None:
    async def check() -> None:
        queue = FairQueue()
        first = job("a")
        queue.put(first, most=9, most_of_key=1, most_bytes=1 << 30)
        queue.withdraw(first)
        queue.withdraw(first)
        assert queue.total() == 0
        queue.put(job("a"), most=9, most_of_key=1, most_bytes=1 << 30)

    asyncio.run(check())


def test_all_that_waits_together_has_a_size() -> None:
    async def check() -> None:
        queue = FairQueue()
        queue.put(job("a", size=9 * LARGE), most=9, most_of_key=9, most_bytes=4 * LARGE)
        with pytest.raises(Refusal) as refused:
            queue.put(job("b"), most=9, most_of_key=9, most_bytes=4 * LARGE)
        assert refused.value.status == 503
        queue.done(await queue.take((Lane.LARGE,)))
        queue.put(job("b"), most=9, most_of_key=9, most_bytes=4 * LARGE)

    asyncio.run(check())
