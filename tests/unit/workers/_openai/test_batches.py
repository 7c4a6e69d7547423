"""Only completions of one kind are computed together; a bad one ends neither server nor batch."""

from __future__ import annotations

import asyncio
import threading

import pytest

from _openai.batches import StaticBatches
from _openai.completion import PendingCompletion, TokenChunk
from _openai.generation import GenerationRequest
from _openai.sampling import Sampling

WAIT_S = 5


def asked(number: int, *, model: str = "m") -> PendingCompletion:
    request = GenerationRequest(model=model, prompt=[number], max_tokens=5, sampling=Sampling())
    return PendingCompletion(request)


def number_of(completion: PendingCompletion) -> int:
    return completion.request.prompt[0]


async def ending(completion: PendingCompletion) -> TokenChunk:
    return await asyncio.wait_for(completion.next_chunk(), WAIT_S)


def test_one_kind_a_batch_in_order_and_no_more_than_fit() -> None:
    seen: list[list[int]] = []
    first_may_go = threading.Event()

    def compute(batch: list[PendingCompletion]) -> None:
        first_may_go.wait(WAIT_S)
        seen.append([number_of(completion) for completion in batch])

    async def run() -> None:
        batches = StaticBatches(compute, most=2, kind=lambda completion: completion.request.model)
        everybody = []
        for number, model in enumerate(["a", "b", "a", "a", "b"]):
            everybody.append(asked(number, model=model))
            batches.submit(everybody[-1])
        first_may_go.set()
        for completion in everybody:
            assert (await ending(completion)).finish == "stop"

    asyncio.run(run())
    assert sorted(number for batch in seen for number in batch) == [0, 1, 2, 3, 4]
    assert all({0, 2, 3} >= set(batch) or {1, 4} >= set(batch) for batch in seen)
    assert all(len(batch) <= 2 for batch in seen)


def test_who_fails_fails_alone_and_the_next_one_runs(capfd: pytest.CaptureFixture[str]) -> None:
    def compute(batch: list[PendingCompletion]) -> None:
        if any(number_of(completion) == 13 for completion in batch):
            raise ValueError("unlucky")
        for completion in batch:
            completion.put([number_of(completion)])

    async def run() -> list[TokenChunk]:
        batches = StaticBatches(compute, most=3, kind=lambda completion: None)
        everybody = [asked(number) for number in (12, 13, 14, 15)]
        for completion in everybody:
            batches.submit(completion)
        return [await ending(completion) for completion in everybody]

    before, bad, after, later = asyncio.run(run())
    assert bad == TokenChunk([], "error", "ValueError: unlucky")
    assert [before, after, later] == [TokenChunk([12]), TokenChunk([14]), TokenChunk([15])]
    assert "unlucky" in capfd.readouterr().err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_says_why() -> None:
    def compute(batch: list[PendingCompletion]) -> None:
        raise SystemExit("enough")

    async def run() -> str | None:
        batches = StaticBatches(compute, most=1, kind=lambda completion: None)
        assert batches.failure() is None
        batches.submit(asked(1))
        for _ in range(100):
            if batches.failure():
                break
            await asyncio.sleep(0.02)
        return batches.failure()

    assert asyncio.run(run()) == "SystemExit: enough"
