"""A few judges, and who asks them next.

One of them takes only what is quick, so that nobody waits behind somebody else's megabytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from llmops_cli.gateway_file.config import JudgingConfig
from llmops_cli.serve.judging.frames import Task
from llmops_cli.serve.judging.judge import JudgeDied, JudgeProcess
from llmops_cli.serve.judging.queue import FairQueue, Job, Lane, lane_of
from llmops_cli.serve.refusal import Refusal, retry_after

LOG = logging.getLogger("llmops.gateway")
TRIES = 2
"""A task over which so many judges died is answered with 503."""
WARM_S = 60.0
IDLE_S = 60.0
"""After which judges end that nothing but a few large bodies called for."""
LANES = ((Lane.QUICK,), (Lane.LARGE, Lane.QUICK))
"""What each judge takes, and what first."""


class JudgePool:
    """`stays`: judges are needed for every request, so that they wait for more when idle.

    `warm_up` makes in a new judge what its first request would wait for.
    """

    def __init__(self, warm_up: Callable[[], None]) -> None:
        self._warm_up = warm_up
        self.stays = False
        self._queue = FairQueue()
        self._judges = [JudgeProcess() for _ in LANES]
        self._workers: list[asyncio.Task[None]] = []

    def waiting(self) -> int:
        """Tasks that wait, or are worked on."""
        return self._queue.total()

    def pids(self) -> list[int]:
        return [judge.pid for judge in self._judges if judge.pid is not None]

    async def prepare(self) -> None:
        """Starts the judges before they are asked."""
        for judge in self._judges:
            await self._prepare(judge)

    async def _prepare(self, judge: JudgeProcess) -> None:
        if judge.pid is not None:
            return
        with suppress(JudgeDied, TimeoutError, OSError):  # the next task tries again
            await judge.ask(Task(self._warm_up, ()), seconds=WARM_S)

    async def run(
        self,
        function: Callable[..., Any],
        *arguments: Any,  # Any: the function's
        key: str,
        size: int,
        bounds: JudgingConfig,
    ) -> Any:
        """What the function returns, or raises. Whoever is cancelled takes the task out again.

        Raises: Refusal if too many wait, or it takes too long.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        job = Job(Task(function, arguments), key, lane_of(size), size, answer, bounds.seconds)
        self._queue.put(
            job,
            most=bounds.waiting,
            most_of_key=bounds.per_key,
            most_bytes=bounds.waiting * bounds.text_bytes,
        )
        if not self._workers:
            self._begin()
        try:
            return await answer
        finally:
            self._queue.withdraw(job)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        for judge, lanes in zip(self._judges, LANES, strict=True):
            self._workers.append(loop.create_task(self._work(judge, lanes)))

    async def _work(self, judge: JudgeProcess, lanes: tuple[Lane, ...]) -> None:
        while True:
            try:
                async with asyncio.timeout(None if self.stays else IDLE_S):
                    job = await self._queue.take(lanes)
            except TimeoutError:
                await judge.end()
                continue
            if job.answer.done():
                self._queue.done(job)
                continue
            await self._judge(judge, job)
            if self.stays:
                await self._prepare(judge)

    async def _judge(self, judge: JudgeProcess, job: Job) -> None:
        try:
            outcome = await judge.ask(job.task, seconds=job.seconds)
        except JudgeDied:
            job.tries += 1
            LOG.warning("a judge ended over its work")
            if job.tries < TRIES:
                self._queue.put_back(job)
                return
            said = "what judges requests is out of service"
            error: Exception = Refusal(503, said, code="overloaded", headers=retry_after(1))
        except TimeoutError:
            error = _late(job)
        except OSError as failure:  # no process can be started
            LOG.exception("no judge")
            said = f"what judges requests does not start: {failure.strerror}"
            error = Refusal(503, said, code="overloaded", headers=retry_after(1))
        except Exception as failure:  # the boundary: a judge's task in the gateway must not end
            LOG.exception("judging")
            error = failure
        else:
            self._settle(job, outcome.result, outcome.error)
            return
        self._settle(job, None, error)

    def _settle(
        self,
        job: Job,
        result: Any,  # Any: the function's
        error: Exception | None,
    ) -> None:
        self._queue.done(job)
        if job.answer.done():
            return  # nobody waits for it
        if error is None:
            job.answer.set_result(result)
        else:
            job.answer.set_exception(error)

    async def close(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()
        for judge in self._judges:
            await judge.end()


def _late(job: Job) -> Refusal:
    """What is small takes long only where a guard waits for somebody else."""
    said = f"the request could not be judged in {job.seconds:g} s"
    if job.lane is Lane.QUICK:
        return Refusal(503, said, code="guard_unavailable", headers=retry_after(5))
    return Refusal(413, said, code="too_large")
