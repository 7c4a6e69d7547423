"""Work that may take a while in a thread that nobody waits for at the end of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

_Found = TypeVar("_Found")


async def in_thread(work: Callable[[], _Found]) -> _Found:
    """What it returns or raises. Cancelled, it goes on, and nobody is told."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Found] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        def unless_done() -> None:
            if not future.done():
                settle()

        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(unless_done)

    def run() -> None:
        try:
            found = work()
        except Exception as error:  # noqa: BLE001  it is raised where it is awaited
            failure = error
            tell(lambda: future.set_exception(failure))
        else:
            tell(lambda: future.set_result(found))

    threading.Thread(target=run, name="lookup", daemon=True).start()
    return await future
