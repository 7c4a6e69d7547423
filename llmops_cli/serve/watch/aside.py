"""Work for those who only look on, in a thread beside the loop that serves."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

_Found = TypeVar("_Found")

SWITCH_S = 0.0005
"""How long the loop waits for such work to let go of the interpreter (Python's own: 5 ms)."""


class Aside:
    """One piece of work at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")
        self._lock = threading.Lock()
        self._waiting: dict[str, Future[Any]] = {}  # Any: what each work finds

    async def run(self, work: Callable[[], _Found]) -> _Found:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, _uncollected, work)

    async def shared(self, name: str, work: Callable[[], _Found]) -> _Found:
        """The same for all who ask before it has begun; so it is never older than the question."""
        with self._lock:
            future = self._waiting.get(name)
            if future is None:
                future = self._thread.submit(self._begin, name, work)
                self._waiting[name] = future
        waited: asyncio.Future[_Found] = asyncio.wrap_future(future)
        return await asyncio.shield(waited)

    def _begin(self, name: str, work: Callable[[], _Found]) -> _Found:
        with self._lock:
            del self._waiting[name]
        return _uncollected(work)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def _uncollected(work: Callable[[], _Found]) -> _Found:
    """What it makes is many and has no cycles; to look for them would stop everybody."""
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()
