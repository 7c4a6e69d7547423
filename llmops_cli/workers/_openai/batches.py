"""Static batching: what waits is computed together until its longest answer ends.

Standard library only.
"""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable

from _openai.completion import PendingCompletion

GATHER_S = 0.005


class StaticBatches:
    """A thread that gives `run` up to `most` waiting completions of one `kind` at a time."""

    def __init__(
        self,
        run: Callable[[list[PendingCompletion]], None],
        *,
        most: int,
        kind: Callable[[PendingCompletion], Hashable],
    ) -> None:
        self._run = run
        self._most = most
        self._kind = kind
        self._waiting: deque[PendingCompletion] = deque()
        self._wake = threading.Condition()
        self._running = 0
        thread = threading.Thread(target=self._loop, daemon=True, name="batches")
        thread.start()

    def submit(self, completion: PendingCompletion) -> None:
        with self._wake:
            self._waiting.append(completion)
            self._wake.notify()

    def gauges(self) -> dict[str, float]:
        waiting = len(self._waiting)
        return {"running": self._running, "waiting": waiting}

    def _loop(self) -> None:
        while True:
            batch = self._take()
            if batch:
                self._running = len(batch)
                self._compute(batch)
                self._running = 0

    def _take(self) -> list[PendingCompletion]:
        """Those of one kind that wait, in their order."""
        with self._wake:
            while not self._waiting:
                self._wake.wait()
        time.sleep(GATHER_S)  # those that were sent together are computed together
        with self._wake:
            first = self._kind(self._waiting[0])
            alike = [waiting for waiting in self._waiting if self._kind(waiting) == first]
            taken = alike[: self._most]
            for completion in taken:
                self._waiting.remove(completion)
        return [completion for completion in taken if not completion.cancelled]

    def _compute(self, batch: list[PendingCompletion]) -> None:
        try:
            self._run(batch)
        except Exception as error:  # noqa: BLE001 - one bad batch must not end the server
            traceback.print_exc()
            for completion in batch:
                completion.end("error", f"{type(error).__name__}: {error}"[:300])
        for completion in batch:
            completion.end("stop")
