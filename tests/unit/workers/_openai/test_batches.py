"""Only completions of one kind are computed together, and a bad batch ends no server."""

from __future__ import annotations

import asyncio
import threading

from _openai.batches import StaticBatches
from _openai.completion import PendingCompletion


def test_one_kind_a_batch_in_order_and_no_more_than_fit() -> None:
    seen: list[list[int]] = []
    first_may_go = threading.Event()

    def compute(batch: list[PendingCompletion]) -> None:
        first_may_go.wait(5)
        seen.append([completion.prompt[0] for completion in batch])

    async def run() -> None:
        batches = StaticBatches(compute, most=2, kind=lambda completion: completion.temperature)
        asked = []
        for number, temperature in enumerate([0.0, 1.0, 0.0, 0.0, 1.0]):
            fields = {"temperature": temperature}
            asked.append(PendingCompletion([number], fields, room=5, model="m"))
            batches.submit(asked[-1])
        first_may_go.set()
        for completion in asked:
            assert (await asyncio.wait_for(completion.next_chunk(), 5)).finish == "stop"

    asyncio.run(run())
    assert sorted(number for batch in seen for number in batch) == [0, 1, 2, 3, 4]
    assert all({0, 2, 3} >= set(batch) or {1, 4} >= set(batch) for batch in seen)
    assert all(len(batch) <= 2 for batch in seen)


def test_an_error_reaches_those_of_its_batch_and_the_next_one_runs(capfd: object) -> None:
    def compute(batch: list[PendingCompletion]) -> None:
        if batch[0].prompt == [13]:
            raise ValueError("unlucky")

    async def run() -> list[object]:
        batches = StaticBatches(compute, most=1, kind=lambda completion: None)
        found = []
        for number in (13, 14):
            completion = PendingCompletion([number], {}, room=5, model="m")
            batches.submit(completion)
            found.append(await asyncio.wait_for(completion.next_chunk(), 5))
        return found

    bad, good = asyncio.run(run())
    assert bad == ([], "error", "ValueError: unlucky")
    assert good == ([], "stop", None)
