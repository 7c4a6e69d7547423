"""Static batching: what waits is computed together until its longest answer ends. Standard library
only.
"""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable

from _shared.openai import Job

Batch = Callable[[list[Job]], None]
GATHER_S = 0.005


class StaticBatches:
    """A thread that gives `run` up to `most` waiting jobs of one `kind` at a time."""

    def __init__(self, run: Batch, *, most: int, kind: Callable[[Job], Hashable]) -> None:
        self._run = run
        self._most = most
        self._kind = kind
        self._waiting: deque[Job] = deque()
        self._wake = threading.Condition()
        self.running = 0
        threading.Thread(target=self._loop, daemon=True, name="batches").start()

    def submit(self, job: Job) -> None:
        with self._wake:
            self._waiting.append(job)
            self._wake.notify()

    def gauges(self) -> dict[str, float]:
        return {"running": self.running, "waiting": len(self._waiting)}

    def _take(self) -> list[Job]:
        with self._wake:
            while not self._waiting:
                self._wake.wait()
        time.sleep(GATHER_S)  # those that were sent together are computed together
        with self._wake:
            first = self._kind(self._waiting[0])
            taken = [job for job in self._waiting if self._kind(job) == first][: self._most]
            for job in taken:
                self._waiting.remove(job)
        return [job for job in taken if not job.cancelled]

    def _loop(self) -> None:
        while True:
            jobs = self._take()
            if not jobs:
                continue
            self.running = len(jobs)
            try:
                self._run(jobs)
            except Exception as error:  # noqa: BLE001 - one bad batch must not end the server
                traceback.print_exc()
                for job in jobs:
                    job.end("error", f"{type(error).__name__}: {error}"[:300])
            self.running = 0
            for job in jobs:
                job.end("stop")
