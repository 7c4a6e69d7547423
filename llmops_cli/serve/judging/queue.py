"""Tasks that wait for a judge: in lanes by size, and within a lane one of each key in turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from llmops_cli.serve.judging.frames import Task
from llmops_cli.serve.refusal import Refusal, retry_after
from llmops_cli.serve.turns import Turns

QUICK_BYTES = 64 << 10
"""What is not larger is judged in some tens of milliseconds."""
QUICK_WAITING = 16
"""Times as many of these may wait."""
RETRY_S = 2.0


class Lane(IntEnum):
    QUICK = 0
    LARGE = 1


def lane_of(size: int) -> Lane:
    return Lane.QUICK if size <= QUICK_BYTES else Lane.LARGE


@dataclass(eq=False, slots=True)
class Job:
    """`key`: who asks. `seconds`: that it may take. `tries`: judges that died over it."""

    task: Task
    key: str
    lane: Lane
    size: int
    answer: asyncio.Future[Any]  # Any: the function's
    seconds: float
    tries: int = 0


class FairQueue:
    """`held` counts what waits or is worked on."""

    def __init__(self) -> None:
        self._lanes = (Turns[Job](), Turns[Job]())
        self._held: tuple[Counter[str], ...] = (Counter(), Counter())
        self._bytes = 0
        self._come = asyncio.Event()

    def total(self) -> int:
        return sum(held.total() for held in self._held)

    def put(
        self,
        job: Job,
        *,
        most: int,
        most_of_key: int,
        most_bytes: int,
    ) -> None:
        """Raises: Refusal if too many wait, or all together are too large."""
        times = QUICK_WAITING if job.lane is Lane.QUICK else 1
        held = self._held[job.lane]
        if held[job.key] >= times * most_of_key:
            raise Refusal(
                429,
                "too many requests of this key wait to be judged",
                code="rate_limit_exceeded",
                headers=retry_after(RETRY_S),
            )
        is_full = self._bytes and self._bytes + job.size > most_bytes
        if is_full or held.total() >= times * most:
            raise Refusal(
                503,
                "too many requests wait to be judged",
                code="overloaded",
                headers=retry_after(RETRY_S),
            )
        held[job.key] += 1
        self._bytes += job.size
        self._lanes[job.lane].put(job.key, job)
        self._come.set()

    def put_back(self, job: Job) -> None:
        """One whose judge died; it is the next of its key."""
        self._lanes[job.lane].put_back(job.key, job)
        self._come.set()

    def done(self, job: Job) -> None:
        """It is no longer held."""
        held = self._held[job.lane]
        held[job.key] -= 1
        self._bytes -= job.size
        if not held[job.key]:
            del held[job.key]

    def withdraw(self, job: Job) -> None:
        """Nobody waits for it any more. One that is worked on is held until that is done."""
        if self._lanes[job.lane].remove(job.key, job):
            self.done(job)

    async def take(self, lanes: tuple[Lane, ...]) -> Job:
        """The next of these lanes, the first of them before the others."""
        while True:
            for lane in lanes:
                job = self._lanes[lane].next()
                if job is not None:
                    return job
            self._come.clear()
            await self._come.wait()
