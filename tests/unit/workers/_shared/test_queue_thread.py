"""A queue's thread serves what waits, takes no more than has room, and ends when it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from _shared.queue_thread import QueueThread

WAIT_S = 5


def serving(
    *, has_more: Callable[[], bool] | None = None, until: int = 1
) -> tuple[QueueThread[int], list[int], threading.Event]:
    """A queue whose thread notes what it took, and an event after so many of them."""
    taken: list[int] = []
    enough = threading.Event()

    def serve() -> None:
        with queue.lock:
            taken.append(queue.waiting.popleft() if queue.waiting else -1)
        if len(taken) >= until:
            enough.set()

    queue: QueueThread[int] = QueueThread("test", serve, has_more=has_more)
    return queue, taken, enough


def test_what_waits_is_served_in_its_order_and_the_thread_ends() -> None:
    queue, taken, enough = serving(until=3)
    assert queue.put([1, 2])
    queue.start()
    assert queue.put([3])
    assert enough.wait(WAIT_S)
    assert queue.alive
    queue.stop()
    assert not queue.alive
    assert taken == [1, 2, 3]


def test_all_or_none_are_queued() -> None:
    queue, _, _ = serving()
    assert queue.put([1, 2], room=3)
    assert not queue.put([3, 4], room=3)
    assert queue.put([3], room=3)
    assert list(queue.waiting) == [1, 2, 3]


def test_work_that_is_left_is_served_while_nothing_waits() -> None:
    left = [True, True, False]
    queue, taken, enough = serving(has_more=lambda: left.pop(0), until=2)
    queue.start()
    assert enough.wait(WAIT_S)
    queue.stop()
    assert taken == [-1, -1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_of_what_it_died_is_known() -> None:
    def serve() -> None:
        raise SystemExit("enough")

    queue: QueueThread[int] = QueueThread("test", serve)
    queue.put([1])
    queue.start()
    queue.stop()
    assert not queue.alive
    assert isinstance(queue.error, SystemExit)
