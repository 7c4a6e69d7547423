"""A thread that serves a queue: what waits, how it is woken, and how it ends.

Standard library only.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

JOIN_TIMEOUT_S = 10

Item = TypeVar("Item")


class QueueThread(Generic[Item]):
    """Calls `serve` while something waits, or `has_more` says that work is left.

    Any thread may `put`. Who else changes `waiting` holds `lock`.
    """

    def __init__(
        self,
        name: str,
        serve: Callable[[], None],
        *,
        has_more: Callable[[], bool] | None = None,
    ) -> None:
        self.waiting: deque[Item] = deque()
        self.lock = threading.Condition()
        self.error: BaseException | None = None
        """Of which the thread died."""
        self._serve = serve
        self._has_more = has_more
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Lets it finish what it serves just now."""
        with self.lock:
            self._stopping = True
            self.lock.notify()
        self._thread.join(timeout=JOIN_TIMEOUT_S)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def put(self, items: Sequence[Item], *, room: int | None = None) -> bool:
        """Queues all of them, or none if more than `room` would wait then."""
        with self.lock:
            waiting = len(self.waiting) + len(items)
            if room is not None and waiting > room:
                return False
            self.waiting.extend(items)
            self.lock.notify()
            return True

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._serve()
        except BaseException as error:
            self.error = error
            raise

    def _wait_for_work(self) -> bool:
        """False when the thread is to stop."""
        with self.lock:
            while not self._stopping and not self._has_work():
                self.lock.wait()
            return not self._stopping

    def _has_work(self) -> bool:
        if self.waiting:
            return True
        return self._has_more is not None and self._has_more()
