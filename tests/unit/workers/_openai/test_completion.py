"""A completion takes so many tokens, ends once, and hands all of it to its reader in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from _openai.completion import PendingCompletion, TokenChunk


def chunks_after(act: Callable[[PendingCompletion], None], **fields: object) -> list[TokenChunk]:
    async def run() -> list[TokenChunk]:
        completion = PendingCompletion([1, 2], fields, room=4, model="m")
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


def test_the_room_of_the_context_is_the_limit_where_more_is_asked() -> None:
    assert chunks_after(lambda c: c.put([1, 2, 3, 4, 5]) and None, max_tokens=99) == [
        TokenChunk([1, 2, 3, 4]),
        TokenChunk([], "length"),
    ]


def test_an_error_ends_it_once() -> None:
    def act(completion: PendingCompletion) -> None:
        completion.end("error", "boom")
        completion.end("stop")

    assert chunks_after(act) == [TokenChunk([], "error", "boom")]


def test_who_has_gone_wants_no_more() -> None:
    def act(completion: PendingCompletion) -> None:
        completion.cancelled = True
        assert completion.put([1])
        completion.end("stop")

    assert chunks_after(act) == [TokenChunk([], "stop")]


def test_settings_that_are_null_are_defaults() -> None:
    async def run() -> PendingCompletion:
        fields = {"temperature": None, "top_p": 0.5, "seed": 3, "ignore_eos": True}
        return PendingCompletion([1], fields, room=9, model="m")

    completion = asyncio.run(run())
    assert (completion.temperature, completion.top_p, completion.top_k) == (1.0, 0.5, 0)
    assert (completion.seed, completion.ignore_eos, completion.max_tokens) == (3, True, 9)
