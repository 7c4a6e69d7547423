"""A client that leaves: what is worked on for it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from llmops_cli.serve.context import Observed

Found = TypeVar("Found")
DisconnectHooks = set[Callable[[], None]]
"""Called when the client's connection ends."""


class ClientGone(Exception):
    """The client has left."""


async def until_gone(
    work: Coroutine[Any, Any, Found],  # Any: what it yields
    observed: Observed,
    hooks: DisconnectHooks,
) -> Found:
    """Does the work, and stops as soon as the client has gone. Raises: ClientGone."""
    task = asyncio.current_task()
    gone = False

    def stop() -> None:
        nonlocal gone
        if task is not None and not observed.answered:
            gone = True
            task.cancel()

    hooks.add(stop)
    try:
        return await work
    except asyncio.CancelledError:
        if not gone:
            raise
        raise ClientGone from None
    finally:
        hooks.discard(stop)
