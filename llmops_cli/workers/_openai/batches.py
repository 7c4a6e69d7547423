"""Static batching: what waits is computed together until its longest answer ends.

Standard library only.
"""

import time
import traceback
from collections.abc import Callable, Hashable

from _openai.completion import PendingCompletion
from _shared.queue_thread import QueueThread

GATHER_S = 0.005

Run = Callable[[list[PendingCompletion]], None]


class StaticBatches:
    """A thread that gives `run` up to `most` waiting completions of one `kind` at a time."""

    def __init__(
        self,
        run: Run,
        *,
        most: int,
        kind: Callable[[PendingCompletion], Hashable],
    ) -> None:
        self._run = run
        self._most = most
        self._kind = kind
        self._running = 0
        self._queue: QueueThread[PendingCompletion] = QueueThread("batches", self._next)
        self._queue.start()

    def submit(self, completion: PendingCompletion) -> None:
        self._queue.put([completion])

    def gauges(self) -> dict[str, float]:
        waiting = len(self._queue.waiting)
        return {"running": self._running, "waiting": waiting}

    def failure(self) -> str | None:
        """Why nothing is computed any more; None while the thread lives."""
        if self._queue.alive:
            return None
        error = self._queue.error
        return described(error) if error else "the batching thread ended"

    def _next(self) -> None:
        batch = self._take()
        if batch:
            self._running = len(batch)
            self._compute(batch)
            self._running = 0

    def _take(self) -> list[PendingCompletion]:
        """Those of one kind that wait, in their order."""
        time.sleep(GATHER_S)  # those that were sent together are computed together
        waiting = self._queue.waiting
        with self._queue.lock:
            first = self._kind(waiting[0])
            alike = [each for each in waiting if self._kind(each) == first]
            taken = alike[: self._most]
            for completion in taken:
                waiting.remove(completion)
        return [completion for completion in taken if not completion.cancelled]

    def _compute(self, batch: list[PendingCompletion]) -> None:
        """What fails in company is tried alone, so that nobody fails of a neighbour's request."""
        try:
            self._run(batch)
        except Exception as error:  # noqa: BLE001 - one bad batch must not end the server
            traceback.print_exc()
            self._after(error, batch)
        for completion in batch:
            completion.end("stop")

    def _after(self, error: Exception, batch: list[PendingCompletion]) -> None:
        for completion in batch:
            if len(batch) > 1 and not completion.tokens and not completion.is_over:
                self._compute([completion])
            else:
                completion.end("error", described(error))


def described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
