"""Large bodies go on a few at a time, and one that stops stops no other."""

from __future__ import annotations

import asyncio

from llmops_cli.serve.door.pace import AT_ONCE, Pace


def test_a_few_go_on_in_each_turn_in_their_order() -> None:
    async def check() -> None:
        pace = Pace()
        went = list[int]()

        async def body(number: int) -> None:
            for _ in range(3):
                await asyncio.sleep(0)  # more of it comes
                await pace.turn()
                went.append(number)

        tasks = [asyncio.create_task(body(number)) for number in range(9)]
        tasks[4].cancel()
        seen = 0
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            assert len(went) - seen <= 2 * AT_ONCE
            seen = len(went)
        assert went[:8] == [0, 1, 2, 3, 5, 6, 7, 8]
        assert len(went) == 24

    asyncio.run(check())
