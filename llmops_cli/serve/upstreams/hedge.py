"""A second copy of a request that is slow: whichever answers first is the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from llmops_cli.serve.upstreams.exchange import UpstreamExchange
from llmops_cli.serve.upstreams.outcome import Outcome


class Race:
    """Between two copies. `is_lost`: the other one has answered."""

    def __init__(self) -> None:
        self.is_lost = False


Asking = Coroutine[Any, Any, UpstreamExchange]  # Any: what a coroutine is sent, which is nothing


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
    running = {task}
    try:
        await asyncio.wait(running, timeout=after_s)
        if not task.done():
            copy = second()
            if copy is not None:
                running.add(asyncio.ensure_future(copy))
        while True:
            done, pending = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            good = [each for each in done if _is_good(each)]
            if good or not pending:
                winner = good[0] if good else task
                if race is not None:
                    race.is_lost = winner is not task
                running.discard(winner)
                return winner.result()
            running = pending
    finally:
        for loser in running:
            _drop(loser)


def _is_good(task: asyncio.Future[UpstreamExchange]) -> bool:
    return task.exception() is None and not task.result().is_bad


def _drop(task: asyncio.Future[UpstreamExchange]) -> None:
    """The loser is stopped, wherever it is."""
    if not task.done():
        task.cancel()
        task.add_done_callback(_drop)
    elif not task.cancelled() and task.exception() is None:
        task.result().end(Outcome.NOTHING)
