"""A request in tiny chunks costs its bytes, and others have their turn while it is read."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Awaitable
from typing import TypeVar

from _shared.http1 import HttpRequest, read_request

CHUNKS = 20_000
HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

Result = TypeVar("Result")


async def in_tiny_chunks() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(HEAD + b"2\r\nab\r\n" * CHUNKS + b"0\r\n\r\n")
    return reader


async def turns_beside(work: Awaitable[Result]) -> tuple[Result, int]:
    """What comes of it, and how often another task had its turn meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    result = await work
    counting.cancel()
    return result, turns


def test_tiny_chunks_leave_others_their_turn() -> None:
    async def run() -> tuple[HttpRequest, int]:
        return await turns_beside(read_request(await in_tiny_chunks()))

    request, turns = asyncio.run(run())
    assert request.body == b"ab" * CHUNKS
    assert turns >= 10


def test_tiny_chunks_take_no_more_than_their_bytes() -> None:
    async def run() -> int:
        reader = await in_tiny_chunks()
        tracemalloc.start()
        await read_request(reader)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak_bytes

    assert asyncio.run(run()) < 8 * 2 * CHUNKS
