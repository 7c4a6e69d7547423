"""A completion takes so many tokens, ends once, and hands all of it to its reader in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from _openai.completion import PendingCompletion, TokenChunk
from _openai.generation import GenerationRequest
from _openai.sampling import Sampling


def chunks_after(
    act: Callable[[PendingCompletion], None], *, max_tokens: int = 9
) -> list[TokenChunk]:
    async def run() -> list[TokenChunk]:
        request = GenerationRequest(
            model="m", prompt=[1, 2], max_tokens=max_tokens, sampling=Sampling()
        )
        completion = PendingCompletion(request)
        act(completion)
        found = []
        while not found or found[-1].finish is None:
            found.append(await asyncio.wait_for(completion.next_chunk(), 1))
        return found

    return asyncio.run(run())


def test_tokens_beyond_the_limit_are_left_out_and_end_it() -> None:
    def act(completion: PendingCompletion) -> None:
        assert not completion.put([7])
        assert completion.put([8, 9, 10])
        assert completion.put([11])
        completion.end("stop")

    assert chunks_after(act, max_tokens=3) == [
        TokenChunk([7]),
        TokenChunk([8, 9]),
        TokenChunk([], "length"),
    ]


def test_an_error_ends_it_once() -> None:
    def act(completion: PendingCompletion) -> None:
        completion.end("error", "boom")
        completion.end("stop")

    assert chunks_after(act) == [TokenChunk([], "error", "boom")]


def test_who_has_gone_wants_no_more() -> None:
    def act(completion: PendingCompletion) -> None:
        left: list[int] = []
        completion.when_cancelled = lambda: left.append(1)
        completion.cancel()
        completion.cancel()
        assert left == [1]
        assert completion.put([1])
        completion.end("stop")

    assert chunks_after(act) == [TokenChunk([], "stop")]
