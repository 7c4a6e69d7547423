"""A second copy of a request that is slow: whichever answers first is the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from llmops_cli.serve.upstreams.exchange import UpstreamExchange


class Race:
    """Of a first copy with a second. `is_lost`: that one has answered; `has_failed`: this one."""

    def __init__(self) -> None:
        self.is_lost = False
        self.has_failed = False


Asking = Coroutine[Any, Any, UpstreamExchange]  # Any: what a coroutine is sent, which is nothing
Copy = asyncio.Future[UpstreamExchange]


async def hedged(
    first: Asking,
    second: Callable[[], Asking | None],
    *,
    after_s: float,
    race: Race | None = None,
) -> UpstreamExchange:
    """`second` is called when the first has not answered after `after_s`; None: it may not be.

    `race` is of the first.
    Raises: UpstreamError if neither answers.
    """
    task = asyncio.ensure_future(first)
    losers: set[Copy] = {task}
    try:
        await asyncio.wait(losers, timeout=after_s)
        if not task.done():
            copy = second()
            if copy is not None:
                losers.add(asyncio.ensure_future(copy))
        winner = await _winner(task, losers)
        losers.discard(winner)
        if race is not None:
            race.is_lost = winner is not task
        return winner.result()
    finally:
        for loser in losers:
            _drop(loser)


async def _winner(first: Copy, running: set[Copy]) -> Copy:
    """The first good answer; where there is none, what became of the first copy."""
    pending = set(running)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            if _is_good(each):
                return each
    return first


def _is_good(task: Copy) -> bool:
    return task.exception() is None and not task.result().is_bad


def _drop(task: Copy) -> None:
    """The loser is stopped, wherever it is; if it has failed, that is known of it."""
    if not task.done():
        task.cancel()
        task.add_done_callback(_drop)
    elif not task.cancelled() and task.exception() is None:
        task.result().lose()
