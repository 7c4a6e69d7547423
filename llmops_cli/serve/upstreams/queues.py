"""Requests that wait because each upstream of their model is full."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress

RECENT = 0.2
"""Weight of the last interval between two free places in their average."""
INTERVAL_MOST_S = 60.0


class Queue:
    """Of one model. Interactive requests go first."""

    def __init__(self) -> None:
        self._interactive = deque[asyncio.Future[None]]()
        self._batch = deque[asyncio.Future[None]]()
        self._woken = 0

    def depth(self) -> int:
        """Those that were woken and have not run yet stand in it still."""
        return len(self._interactive) + len(self._batch) + self._woken

    def wake(self) -> None:
        """The first that still waits."""
        for line in (self._interactive, self._batch):
            while line:
                turn = line.popleft()
                if not turn.done():
                    self._woken += 1
                    turn.set_result(None)
                    return

    async def wait(
        self,
        *,
        urgent: bool,
        again: bool,
        seconds: float,
    ) -> bool:
        line = self._interactive if urgent else self._batch
        turn = asyncio.get_running_loop().create_future()
        if again:
            line.appendleft(turn)
        else:
            line.append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except TimeoutError:
            pass
        finally:
            with suppress(ValueError):
                line.remove(turn)
            is_woken = turn.done() and not turn.cancelled()
            if is_woken:
                self._woken -= 1
        return is_woken


class Queues:
    """By model. They outlive a reload."""

    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}
        self._interval_s = 0.0
        self._freed_at = 0.0

    def depth(self, name: str) -> int:
        queue = self._queues.get(name)
        return 0 if queue is None else queue.depth()

    def total(self) -> int:
        return sum(queue.depth() for queue in self._queues.values())

    def expected_s(self, name: str) -> float:
        """How long one more would wait, from how often places came free lately."""
        return self._interval_s * (self.depth(name) + 1)

    def freed(self) -> None:
        """An upstream has a place again."""
        if not self._queues:
            return
        now = time.monotonic()
        if self._freed_at:
            interval_s = min(now - self._freed_at, INTERVAL_MOST_S)
            self._interval_s += RECENT * (interval_s - self._interval_s)
        self._freed_at = now
        for queue in list(self._queues.values()):
            queue.wake()

    def more_places(self, count: int) -> None:
        """An upstream has come."""
        for queue in list(self._queues.values()):
            for _ in range(min(count, queue.depth())):
                queue.wake()

    async def wait(
        self,
        name: str,
        *,
        urgent: bool,
        again: bool,
        seconds: float,
    ) -> bool:
        """Whether a place came free in time. Who was woken for nothing stands first `again`."""
        queue = self._queues.setdefault(name, Queue())
        try:
            return await queue.wait(urgent=urgent, again=again, seconds=seconds)
        finally:
            if queue.depth() == 0:
                self._queues.pop(name, None)
