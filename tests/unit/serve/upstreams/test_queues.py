"""Who waits for a place gets it in turn, interactive requests first."""

from __future__ import annotations

import asyncio

from llmops_cli.serve.upstreams.queues import Queues


def test_places_go_to_interactive_requests_first_and_in_turn() -> None:
    async def go() -> list[str]:
        queues = Queues()
        served = []

        async def wait(name: str, *, urgent: bool) -> None:
            if await queues.wait("m", urgent=urgent, again=False, seconds=5.0):
                served.append(name)

        waiting = []
        for name in ("batch", "first", "second"):
            waiting.append(asyncio.ensure_future(wait(name, urgent=name != "batch")))
            await asyncio.sleep(0)
        assert (queues.depth("m"), queues.total(), queues.depth("n")) == (3, 3, 0)
        for _ in waiting:
            queues.freed()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        assert queues.total() == 0
        return served

    assert asyncio.run(go()) == ["first", "second", "batch"]


def test_who_was_woken_for_nothing_stands_first_again() -> None:
    async def go() -> list[str]:
        queues = Queues()
        served = []

        async def wait(name: str, *, again: bool) -> None:
            await queues.wait("m", urgent=True, again=again, seconds=5.0)
            served.append(name)

        waiting = [asyncio.ensure_future(wait("new", again=False))]
        await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(wait("woken", again=True)))
        await asyncio.sleep(0)
        queues.freed()
        queues.freed()
        await asyncio.gather(*waiting)
        return served

    assert asyncio.run(go()) == ["woken", "new"]


def test_who_has_waited_too_long_leaves_no_trace() -> None:
    async def go() -> tuple[bool, int]:
        queues = Queues()
        came_free = await queues.wait("m", urgent=True, again=False, seconds=0.001)
        return came_free, queues.total()

    assert asyncio.run(go()) == (False, 0)
